using System.Buffers;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>
/// A copy of a volume by grain calls: the contract of a mount, for one in a process of its own. Calls that are interrupted are made again until the copy answers or patience ends
/// (<see cref="RemoteVolumeOptions.Patience"/>).
/// </summary>
/// <remarks>Memory is lent to these calls, but a grain call may outlive its caller's wait. So what is sent is copied first.</remarks>
public sealed partial class GrainVolumeAccess : IVolumeAccess, ICachedAccess, IAsyncDisposable
{
    private readonly RemoteSession _session;

    private GrainVolumeAccess(RemoteSession session)
    {
        _session = session;
        if (session.Behind is { } behind)
            behind.AppendRecord = (inode, data) => WriteRecordAsync(inode, data, CancellationToken.None);
    }

    /// <summary>The copy.</summary>
    public CopyDescription Copy => _session.Copy;

    internal SessionId SessionId => _session.Id;

    internal HeldLocks Locks => _session.Locks;

    /// <summary>Begins a session at a copy.</summary>
    /// <param name="connection">The connection. Must outlive the session.</param>
    /// <param name="copy">The copy.</param>
    /// <param name="holder">The mount, which knows inodes beyond their names.</param>
    /// <param name="options">How.</param>
    /// <param name="cancellation">Gives up.</param>
    /// <exception cref="VolumeConnectionException">The copy is away or takes no more sessions.</exception>
    public static async Task<GrainVolumeAccess> AttachAsync(VolumeConnection connection, CopyName copy, ICacheHolder holder, RemoteVolumeOptions options,
        CancellationToken cancellation) => new(await RemoteSession.AttachAsync(connection, copy, holder, options, cancellation));

    public TimeSpan AttributesHold(InodeNumber inode) => Cache.Holds(inode) >= Limits.KernelAttributes ? Limits.KernelAttributes : TimeSpan.Zero;

    public TimeSpan NamesHold(InodeNumber directory) => Cache.HoldsNames(directory);

    public ValueTask<FsResult<Attributes>> LookupAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation)
    {
        if (IsDots(name.Span))
            return AskDots();
        return Cache.TryLookup(directory, name.Span, out var known) ? new(known) : Ask();

        async ValueTask<FsResult<Attributes>> Ask()
        {
            var sent = Copied(name);
            long begun = Cache.Begin();
            var result = await _session.AskAsync((ticket, token) => _session.Names.LookupAsync(ticket, directory, sent, token), cancellation);
            Cache.KeepLookup(begun, directory, sent.Span, result);
            // Nothing is shown that is older than what this session has written.
            return result.IsOk && _session.Behind is { } behind && (behind.Has(result.Value.Inode) || Cache.WasChanged(result.Value.Inode, begun)) ? await GetAttributesAsync(result.Value.Inode, cancellation) : result;
        }

        ValueTask<FsResult<Attributes>> AskDots()
        {
            var sent = Copied(name);
            return _session.AskAsync((ticket, token) => _session.Names.LookupAsync(ticket, directory, sent, token), cancellation);
        }
    }

    public ValueTask<FsResult<Attributes>> GetAttributesAsync(InodeNumber inode, CancellationToken cancellation)
    {
        return Cache.TryAttributes(inode, out var known) ? new(known) : Ask();

        async ValueTask<FsResult<Attributes>> Ask()
        {
            if (await _session.WaitForWritesAsync(inode, cancellation) is var left and not Errno.None)
                return left;
            long begun = Cache.Begin();
            var result = await _session.AskAsync((ticket, token) => _session.Names.GetAttributesAsync(ticket, inode, token), cancellation);
            if (result.IsOk)
                Cache.KeepAttributes(begun, result.Value);
            return result;
        }
    }

    public async ValueTask<FsResult<Attributes>> SetAttributesAsync(InodeNumber inode, AttributeChange change, Caller caller, CancellationToken cancellation)
    {
        // What is written now would have its time after the one that is set here, or its end behind the new one.
        if (await _session.WaitForWritesAsync(inode, cancellation) is var left and not Errno.None)
            return left;
        if ((change.Mask & AttributeMask.Flags) != 0)
            _session.Behind?.Doubt([inode]);
        long begun = Cache.Begin();
        var result = (change.Mask & AttributeMask.Size) == 0
            ? await _session.ChangeAsync((request, token) => _session.Names.SetAttributesAsync(request, inode, change, caller, token), cancellation)
            : await _session.ReshapeAsync(
                new UnstableChange(0, inode, UnstableKind.Truncate, change.Size, 0, null, default), (request, token) => _session.Names.SetAttributesAsync(request, inode, change, caller, token), cancellation);
        if (result.IsOk)
            Cache.KeepChanged(begun, result.Value);
        else
            Cache.Changed(inode);
        return result;
    }

    public async ValueTask<FsResult<ReadOnlyMemory<byte>>> ReadLinkAsync(InodeNumber inode, CancellationToken cancellation)
    {
        var result = (await _session.AskAsync((ticket, token) => _session.Names.ReadLinkAsync(ticket, inode, token), cancellation)).ToResult();
        Cache.WasRead(inode, _session.AccessTimes);
        return result;
    }

    public async ValueTask<FsResult<Attributes>> CreateAsync(InodeNumber directory, ReadOnlyMemory<byte> name, NewInode inode, Caller caller, CancellationToken cancellation)
    {
        var sent = Copied(name);
        var made = inode with { SymlinkTarget = Copied(inode.SymlinkTarget) };
        long begun = Cache.Begin();
        var reply = await _session.ChangeAsync((request, token) => _session.Names.CreateAsync(request, directory, sent, made, caller, token), cancellation);
        if (reply.Inode is { } created)
            _session.Behind?.Taken(created.Inode);
        return Named(begun, directory, sent, reply, isNew: true);
    }

    public async ValueTask<FsResult<Attributes>> CreateUnnamedAsync(InodeNumber directory, NewInode inode, Caller caller, CancellationToken cancellation)
    {
        var result = await _session.ChangeAsync((request, token) => _session.Names.CreateUnnamedAsync(request, directory, inode, caller, token), cancellation);
        if (result.IsOk)
        {
            _session.Hold(result.Value.Inode);
            _session.Behind?.Taken(result.Value.Inode);
        }
        return result;
    }

    public async ValueTask<FsResult<Attributes>> LinkAsync(InodeNumber inode, InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation)
    {
        var sent = Copied(name);
        long begun = Cache.Begin();
        var reply = await _session.ChangeAsync((request, token) => _session.Names.LinkAsync(request, inode, directory, sent, token), cancellation);
        if (reply.Error != Errno.None)
            Cache.Changed(inode);
        return Named(begun, directory, sent, reply);
    }

    public ValueTask<FsResult> UnlinkAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation)
    {
        var sent = Copied(name);
        return RemovedAsync(directory, sent, (request, token) => _session.Names.UnlinkAsync(request, directory, sent, token), cancellation);
    }

    public ValueTask<FsResult> RemoveDirectoryAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation)
    {
        var sent = Copied(name);
        return RemovedAsync(directory, sent, (request, token) => _session.Names.RemoveDirectoryAsync(request, directory, sent, token), cancellation, isDirectory: true);
    }

    public async ValueTask<FsResult> RenameAsync(InodeNumber directory, ReadOnlyMemory<byte> name, InodeNumber newDirectory, ReadOnlyMemory<byte> newName, RenameFlags flags, Caller caller,
        CancellationToken cancellation)
    {
        var sent = Copied(name);
        var sentNew = Copied(newName);
        long begun = Cache.Begin();
        var (moved, replaced) = (Cache.Named(directory, sent.Span), Cache.Named(newDirectory, sentNew.Span));
        // A file that takes the place of another is there with its content.
        var waiting = moved is { } settled && (flags & RenameFlags.Exchange) == 0 ? _session.WaitForWritesAsync(settled, cancellation) : _session.WaitForWritesAsync(cancellation);
        if (await waiting is var left and not Errno.None)
            return left;
        var reply = await _session.ChangeAsync((request, token) => _session.Names.RenameAsync(request, directory, sent, newDirectory, sentNew, flags, caller, token), cancellation);
        if (replaced is { } gone)
            Cache.Changed(gone);
        // What has moved is told of with its attributes.
        Renamed(reply, directory, newDirectory, moved is { } told && reply.Inode?.Inode == told ? told : null);
        bool isMove = reply.Error == Errno.None && flags is (RenameFlags.None or RenameFlags.NoReplace) && moved is not null;
        if (isMove)
            Cache.NameMoved(begun, new(directory, sent, reply.Directory), new(newDirectory, sentNew, newDirectory == directory ? reply.Directory : reply.NewDirectory), moved!.Value);
        if (isMove && reply.Inode is { } now && now.Inode == moved)
            Cache.KeepChanged(begun, now);
        else if (moved is { } doubtful)
            Cache.Changed(doubtful);
        if (!isMove)
        {
            Cache.NameDoubtful(directory, sent.Span);
            Cache.NameDoubtful(newDirectory, sentNew.Span);
        }
        return reply.Error;
    }

    public async ValueTask<FsResult> ReadDirectoryAsync(InodeNumber directory, long cookie, IDirectorySink sink, bool withAttributes, ReadFlags flags, CancellationToken cancellation)
    {
        if (withAttributes && await _session.WaitForWritesAsync(cancellation) is var left and not Errno.None)
            return left;
        while (true)
        {
            long from = cookie;
            long begun = Cache.Begin();
            var result = await _session.AskAsync(
                (ticket, token) => _session.Names.ReadDirectoryAsync(ticket, directory, from, Limits.DirectoryPage, withAttributes, flags, token), cancellation);
            if (!result.TryGet(out var page, out var error))
                return error;
            int position = 0;
            for (int i = 0; i < page.Rows.Length; i++)
            {
                var row = page.Rows[i];
                var attributes = page.Attributes is { } all && all[i].Inode.Value != 0 ? all[i] : (Attributes?)null;
                if (!IsDots(page.Names.AsSpan(position, row.NameLength)))
                    Cache.KeepEntry(begun, directory, page.Names.AsSpan(position, row.NameLength), row.Inode, attributes);
                if (!sink.TryAdd(page.Names.AsSpan(position, row.NameLength), row.Inode, row.Type, row.Cookie, attributes))
                    return FsResult.Ok;
                position += row.NameLength;
                cookie = row.Cookie;
            }
            if (page.IsLast)
            {
                if ((flags & ReadFlags.NoAccessTime) == 0)
                    Cache.WasRead(directory, _session.AccessTimes);
                return FsResult.Ok;
            }
        }
    }

    public async ValueTask<FsResult<ReadOnlyMemory<byte>>> GetXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation)
    {
        if (name.Span.SequenceEqual("security.capability"u8) && Cache.LacksCapabilities(inode))
            return Errno.ENODATA;
        var sent = Copied(name);
        // Some tell of the content.
        if (await _session.WaitForWritesAsync(inode, cancellation) is var left and not Errno.None)
            return left;
        return (await _session.AskAsync((ticket, token) => _session.Names.GetXattrAsync(ticket, inode, sent, token), cancellation)).ToResult();
    }

    public async ValueTask<FsResult> SetXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> value, XattrFlags flags, CancellationToken cancellation)
    {
        var sent = Copied(name);
        var sentValue = Copied(value);
        // One of them is a flag.
        _session.Behind?.Doubt([inode]);
        Cache.DoubtCapabilities(inode);
        var result = await _session.ChangeAsync((request, token) => _session.Names.SetXattrAsync(request, inode, sent, sentValue, flags, token), cancellation);
        Cache.Changed(inode);
        return result;
    }

    public async ValueTask<FsResult<ReadOnlyMemory<byte>>> ListXattrAsync(InodeNumber inode, CancellationToken cancellation) =>
        (await _session.AskAsync((ticket, token) => _session.Names.ListXattrAsync(ticket, inode, token), cancellation)).ToResult();

    public async ValueTask<FsResult> RemoveXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation)
    {
        var sent = Copied(name);
        var result = await _session.ChangeAsync((request, token) => _session.Names.RemoveXattrAsync(request, inode, sent, token), cancellation);
        Cache.Changed(inode);
        return result;
    }

    public ValueTask<FsResult<SpaceReport>> GetSpaceAsync(CancellationToken cancellation) =>
        _session.AskAsync((ticket, token) => _session.Names.GetSpaceAsync(ticket, token), cancellation);

    public async ValueTask<FsResult> SyncAllAsync(CancellationToken cancellation) =>
        await _session.OwedAsync(null, cancellation) is var error and not Errno.None ? error : await _session.SyncAllAsync(cancellation);

    public ValueTask<FsResult<VolumeStatus>> GetStatusAsync(CancellationToken cancellation) =>
        _session.AskAsync((_, token) => _session.Names.GetStatusAsync(token), cancellation);

    public void Forget(InodeNumber inode) => _session.Forget(inode);

    /// <summary>Ends the session: the copy gives up its locks and what only it held.</summary>
    public async ValueTask DisposeAsync()
    {
        await StopReleasingAsync();
        await _session.DisposeAsync();
    }

    private SessionCache Cache => _session.Cache;

    /// <summary>A name was made, or that failed.</summary>
    private FsResult<Attributes> Named(long begun, InodeNumber directory, ReadOnlyMemory<byte> name, NameReply reply, bool isNew = false)
    {
        if (reply.Error != Errno.None || reply.Inode is not { } attributes)
        {
            Cache.NameDoubtful(directory, name.Span);
            return reply.Error != Errno.None ? reply.Error : Errno.EIO;
        }
        Cache.NameChanged(begun, new(directory, name, reply.Directory), attributes.Inode);
        Cache.KeepChanged(begun, attributes, isNew);
        return attributes;
    }

    /// <summary>A name is gone, or something else has it. What had it may be known by another.</summary>
    /// <param name="reply">Tells what has changed.</param>
    /// <param name="except">Of which the reply tells more.</param>
    private void Renamed(NameReply reply, params ReadOnlySpan<InodeNumber?> except)
    {
        if (reply.Error != Errno.None)
            return;
        if (reply.Changed is null)
            Cache.Reset();
        foreach (var inode in reply.Changed ?? [])
        {
            if (!except.Contains(inode))
                Cache.Changed(inode);
        }
    }

    private async ValueTask<FsResult> RemovedAsync(
        InodeNumber directory, ReadOnlyMemory<byte> name, Func<ChangeRequest, CancellationToken, ValueTask<NameReply>> remove, CancellationToken cancellation,
        bool isDirectory = false)
    {
        long begun = Cache.Begin();
        var gone = Cache.Named(directory, name.Span);
        var reply = await _session.ChangeAsync(remove, cancellation);
        Renamed(reply, directory);
        if (gone is { } inode)
        {
            if (isDirectory && reply.Error == Errno.None)
                Cache.DirectoryGone(inode);
            else
                Cache.Changed(inode);
        }
        if (reply.Error == Errno.None)
            Cache.NameChanged(begun, new(directory, name, reply.Directory), null);
        else
            Cache.NameDoubtful(directory, name.Span);
        return reply.Error;
    }

    private static bool IsDots(ReadOnlySpan<byte> name) => name.SequenceEqual("."u8) || name.SequenceEqual(".."u8);

    private static ReadOnlyMemory<byte> Copied(ReadOnlyMemory<byte> lent) => lent.IsEmpty ? default : lent.ToArray();
}
