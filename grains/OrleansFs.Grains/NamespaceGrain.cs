using Orleans.Concurrency;
using Orleans.GrainDirectory;
using OrleansFs.Engine.Metadata;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Placement;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>
/// Names and attributes. Calls interleave: the engine is thread-safe, answers most of them at once, and nothing here has a state of its own. What may read a disk goes to a lane.
/// </summary>
[GrainType("ofs.namespace"), CopyPlacement, GrainDirectory(NoDirectory.Name), Reentrant]
internal sealed class NamespaceGrain : IGrainBase, INamespaceGrain
{
    private readonly CopySessions _sessions;
    private readonly bool _isOfThisVolume;

    public NamespaceGrain(IGrainContext context, CopySessions sessions)
    {
        GrainContext = context;
        _sessions = sessions;
        var key = NamespaceKey.Parse(GrainKeys.Text(context));
        GrainKeys.RequireHere(key.Copy, sessions.Copy);
        _isOfThisVolume = key.Volume == sessions.Copy.Description.Volume;
    }

    /// <summary>One that is called directly, and has no activation.</summary>
    internal NamespaceGrain(CopySessions sessions)
    {
        GrainContext = null!;
        _sessions = sessions;
        _isOfThisVolume = true;
    }

    public IGrainContext GrainContext { get; }

    public ValueTask<FsResult<Attributes>> LookupAsync(SessionTicket session, InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        Find(session) is { } s ? s.LookupAsync(_sessions.Leases, directory, name, cancellation) : new(Unknown);

    public ValueTask<FsResult<Attributes>> GetAttributesAsync(SessionTicket session, InodeNumber inode, CancellationToken cancellation) =>
        Find(session) is { } s ? s.GetAttributesAsync(_sessions.Leases, inode, cancellation) : new(Unknown);

    public ValueTask<FsResult<Attributes>> SetAttributesAsync(ChangeRequest request, InodeNumber inode, AttributeChange change, Caller caller, CancellationToken cancellation) =>
        OnceHeld(
            request,
            (s, access) => (change.Mask & AttributeMask.Size) == 0
                ? access.SetAttributesAsync(inode, change, caller, cancellation)
                : _sessions.Writes.RunAsync(() => s.ChangeContentAsync(request, inode, () => access.SetAttributesAsync(inode, change, caller, cancellation)), cancellation),
            cancellation,
            (change.Mask & AttributeMask.Size) != 0 ? inode : null);

    public ValueTask<BytesReply> ReadLinkAsync(SessionTicket session, InodeNumber inode, CancellationToken cancellation) =>
        Find(session) is { } s ? BytesReply.Of(s.Access.ReadLinkAsync(inode, cancellation)) : new(Unknown);

    public ValueTask<NameReply> CreateAsync(ChangeRequest request, InodeNumber directory, ReadOnlyMemory<byte> name, NewInode inode, Caller caller, CancellationToken cancellation) =>
        NamedAsync(request, directory, OnceHeld(request, (s, access) => Naming(s, directory, access).CreateAsync(directory, name, inode, caller, cancellation), cancellation), cancellation);

    public ValueTask<FsResult<Attributes>> CreateUnnamedAsync(ChangeRequest request, InodeNumber directory, NewInode inode, Caller caller, CancellationToken cancellation) =>
        OnceHeld(request, (s, access) => CreateUnnamedAsync(s, access, directory, inode, caller, cancellation), cancellation);

    public ValueTask<NameReply> LinkAsync(ChangeRequest request, InodeNumber inode, InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        NamedAsync(request, directory, OnceHeld(request, (s, access) => Naming(s, directory, access).LinkAsync(inode, directory, name, cancellation), cancellation), cancellation);

    public ValueTask<NameReply> UnlinkAsync(ChangeRequest request, InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        RemovedAsync(request, directory, (s, access) => Naming(s, directory, access).UnlinkAsync(directory, name, cancellation), cancellation);

    public ValueTask<NameReply> RemoveDirectoryAsync(ChangeRequest request, InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        RemovedAsync(request, directory, (s, access) => Naming(s, directory, access).RemoveDirectoryAsync(directory, name, cancellation), cancellation);

    public async ValueTask<NameReply> RenameAsync(ChangeRequest request, InodeNumber directory, ReadOnlyMemory<byte> name, InodeNumber newDirectory, ReadOnlyMemory<byte> newName,
        RenameFlags flags, Caller caller, CancellationToken cancellation)
    {
        InodeNumber[]? changed = null;
        var result = await Once(
            request,
            (s, access) => _sessions.Writes.RunAsync(() => Naming(s, newDirectory, Naming(s, directory, access)).RenameAsync(directory, name, newDirectory, newName, flags, caller, cancellation), cancellation),
            changed: inodes => changed = inodes);
        if (!result.IsOk || Find(request.Ticket) is not { Leases: not null } session)
            return new NameReply { Error = result.Error };
        var moved = await session.LookupAsync(_sessions.Leases, newDirectory, newName, cancellation);
        return new NameReply
        {
            Inode = moved.IsOk ? moved.Value : null,
            Directory = await LeasedAsync(request.Ticket, directory, cancellation),
            NewDirectory = newDirectory == directory ? null : await LeasedAsync(request.Ticket, newDirectory, cancellation),
            Changed = changed,
        };
    }

    public async ValueTask<FsResult<DirectoryPage>> ReadDirectoryAsync(SessionTicket session, InodeNumber directory, long cookie, int maxEntries, bool withAttributes, ReadFlags flags,
        CancellationToken cancellation)
    {
        if (Find(session) is not { } s)
            return Unknown;
        if (maxEntries is < 1 or > GrainInterfaces.Limits.MaxDirectoryEntries)
            return Errno.EINVAL;
        if (s.Leases is { } holder)
            _sessions.Leases.Grant(holder, directory);
        var sink = new PageSink(maxEntries, withAttributes);
        var result = await s.Access.ReadDirectoryAsync(directory, cookie, sink, withAttributes, flags, cancellation);
        if (!result.IsOk)
            return result.Error;
        var page = sink.ToPage();
        if (page.Attributes is { } attributes)
            await s.HoldAsync(_sessions.Leases, attributes, cancellation);
        return page;
    }

    public ValueTask<BytesReply> GetXattrAsync(SessionTicket session, InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        Find(session) is not { } s ? new(Unknown)
        : OwnXattr.Is(name.Span) ? _sessions.Reads.RunAsync(() => BytesReply.Of(s.Access.GetXattrAsync(inode, name, cancellation)), cancellation)
        : BytesReply.Of(s.Access.GetXattrAsync(inode, name, cancellation));

    public ValueTask<FsResult> SetXattrAsync(ChangeRequest request, InodeNumber inode, ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> value, XattrFlags flags,
        CancellationToken cancellation) =>
        Once(
            request,
            (_, access) => OwnXattr.Is(name.Span)
                ? _sessions.Writes.RunAsync(() => access.SetXattrAsync(inode, name, value, flags, cancellation), cancellation)
                : access.SetXattrAsync(inode, name, value, flags, cancellation),
            OwnXattr.Is(name.Span) ? inode : null);

    public ValueTask<BytesReply> ListXattrAsync(SessionTicket session, InodeNumber inode, CancellationToken cancellation) =>
        Find(session) is { } s ? BytesReply.Of(s.Access.ListXattrAsync(inode, cancellation)) : new(Unknown);

    public ValueTask<FsResult> RemoveXattrAsync(ChangeRequest request, InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation) =>
        Once(request, (_, access) => access.RemoveXattrAsync(inode, name, cancellation));

    public ValueTask<FsResult<SpaceReport>> GetSpaceAsync(SessionTicket session, CancellationToken cancellation) =>
        Find(session) is { } s ? s.Access.GetSpaceAsync(cancellation) : new(Unknown);

    public ValueTask<FsResult> SyncAllAsync(SessionTicket session, CancellationToken cancellation) =>
        _isOfThisVolume ? _sessions.SyncedAsync(session, s => s.Access.SyncAllAsync(cancellation)) : new(Unknown);

    public async ValueTask<FsResult<AsideFile>> SetAsideAsync(ChangeRequest request, InodeNumber inode, Timestamp since, CancellationToken cancellation)
    {
        if (Find(request.Ticket) is not { } session)
            return Unknown;
        if (!_sessions.Copy.NameOf(inode).TryGet(out var at, out var error))
            return error;
        byte[] name = ConflictName.Of(at.Name, session.Client, since);
        var made = await Once(request, (s, access) => _sessions.Writes.RunAsync(() => CopyAsync(s.Access, access, inode, at.Directory, name, cancellation), cancellation));
        return made.TryGet(out var copy, out error) ? new AsideFile(copy.Inode, name) : error;
    }


    public ValueTask<FsResult<VolumeStatus>> GetStatusAsync(CancellationToken cancellation) => _isOfThisVolume ? _sessions.GetStatusAsync(cancellation) : new(Errno.ESTALE);

    private static Errno Unknown => Errno.ENOTCONN;

    /// <summary>Who changes a name knows from then on what is there: under a lease on the directory, taken before.</summary>
    private IVolumeAccess Naming(ClientSession session, InodeNumber directory, IVolumeAccess access)
    {
        session.Lease(_sessions.Leases, directory);
        return access;
    }

    private async ValueTask<NameReply> NamedAsync(ChangeRequest request, InodeNumber directory, ValueTask<FsResult<Attributes>> change, CancellationToken cancellation)
    {
        var result = await change;
        return result.TryGet(out var inode, out var error)
            ? new NameReply { Inode = inode, Directory = await LeasedAsync(request.Ticket, directory, cancellation) }
            : new NameReply { Error = error };
    }

    private async ValueTask<NameReply> RemovedAsync(ChangeRequest request, InodeNumber directory, Func<ClientSession, IVolumeAccess, ValueTask<FsResult>> remove, CancellationToken cancellation)
    {
        InodeNumber[]? changed = null;
        var result = await Once(request, remove, changed: inodes => changed = inodes);
        return result.IsOk ? new NameReply { Directory = await LeasedAsync(request.Ticket, directory, cancellation), Changed = changed } : new NameReply { Error = result.Error };
    }

    /// <summary>Makes a copy of a file. One that is there under the name was begun before, and cut short.</summary>
    private static async ValueTask<FsResult<Attributes>> CopyAsync(IVolumeAccess volume, IVolumeAccess naming, InodeNumber inode, InodeNumber directory, byte[] name, CancellationToken cancellation)
    {
        if (!(await volume.GetAttributesAsync(inode, cancellation)).TryGet(out var source, out var error))
            return error;
        var owner = new Caller(source.Uid, source.Gid, 0, 0);
        var made = await naming.CreateAsync(directory, name, new NewInode { Mode = source.Mode }, owner, cancellation);
        if (made.Error == Errno.EEXIST)
            made = await volume.LookupAsync(directory, name, cancellation);
        if (!made.TryGet(out var target, out error))
            return error;
        if (target.Size > 0 && await volume.SetAttributesAsync(target.Inode, new AttributeChange { Mask = AttributeMask.Size }, owner, cancellation) is { IsOk: false, Error: var refused })
            return refused;
        for (long done = 0; done < source.Size;)
        {
            if (!(await volume.CopyRangeAsync(inode, done, target.Inode, done, source.Size - done, cancellation)).TryGet(out long copied, out error))
                return error;
            if (copied == 0)
                break;
            done += copied;
        }
        return made;
    }

    /// <summary>Attributes for a session that keeps them; null for one that keeps nothing, and where the inode is gone.</summary>
    private async ValueTask<Attributes?> LeasedAsync(SessionTicket ticket, InodeNumber inode, CancellationToken cancellation) =>
        Find(ticket) is { Leases: not null } session && (await session.GetAttributesAsync(_sessions.Leases, inode, cancellation)).TryGet(out var attributes, out _) ? attributes : null;

    private static async ValueTask<FsResult<Attributes>> CreateUnnamedAsync(ClientSession session, IVolumeAccess access, InodeNumber directory, NewInode inode, Caller caller,
        CancellationToken cancellation)
    {
        var result = await access.CreateUnnamedAsync(directory, inode, caller, cancellation);
        if (result.IsOk)
            session.Hold(result.Value.Inode);
        return result;
    }

    /// <summary>A key that names another volume is one of a copy that was made anew: its inode numbers mean other files.</summary>
    private ClientSession? Find(SessionTicket ticket) => _isOfThisVolume ? _sessions.Find(ticket) : null;

    /// <remarks>
    /// Answered when it is kept: what a client was told of names and attributes is there when this process was killed and started again, and so is the answer itself (<see cref="IVolumeCopy.Sessions"/>). (Content the client keeps itself until it is on disk.)
    /// </remarks>
    private ValueTask<TResult> Once<TResult>(
        ChangeRequest request, Func<ClientSession, IVolumeAccess, ValueTask<TResult>> operation, InodeNumber? content = null, Action<InodeNumber[]>? changed = null)
        where TResult : struct, IFsResult<TResult>
    {
        return _isOfThisVolume ? _sessions.RunOnceAsync(request, Kept) : new(TResult.Failed(Unknown));

        async ValueTask<TResult> Kept(ClientSession session)
        {
            var record = new ChangeRecord(new ReplyKey(request.Ticket.Session.Value, request.Slot, request.Sequence));
            var result = await operation(session, session.Once(record));
            if (result.Error != Errno.None)
            {
                // Cut off, and not brought to disk.
                if (content is { } doubtful && !ClientSession.ChangedNothing(result.Error))
                    await _sessions.Leases.RecallAsync(session.Leases, [doubtful]);
                return result;
            }
            changed?.Invoke([.. record.Inodes]);
            var kept = _sessions.KeepAsync();
            await _sessions.Leases.RecallAsync(session.Leases, content is { } file ? [file] : record.Inodes);
            await kept;
            return result;
        }
    }

    /// <summary>As <see cref="Once"/>, where the answer tells of an inode: the client holds a lease on it.</summary>
    private ValueTask<FsResult<Attributes>> OnceHeld(
        ChangeRequest request, Func<ClientSession, IVolumeAccess, ValueTask<FsResult<Attributes>>> operation, CancellationToken cancellation, InodeNumber? content = null) =>
        Find(request.Ticket) is { } session ? session.HeldAsync(_sessions.Leases, Once(request, operation, content), cancellation) : new(Unknown);
}
