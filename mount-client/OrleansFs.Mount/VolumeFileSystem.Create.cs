using System.Collections.Concurrent;
using OrleansFs.Fuse;
using OrleansFs.Model;
using Errno = OrleansFs.Fuse.Errno;

namespace OrleansFs.Mount;

/// <content>open(2) with O_CREAT, also of a name that another session takes at the same moment.</content>
/// <remarks>
/// What CREATE is answered with the kernel takes for made by this open: it asks nobody whether the caller may open it, and cuts nothing off (fs/namei.c, do_open). So what is there already is answered with ESTALE: the kernel looks up anew and
/// opens as it opens what is there, a link's target too (do_filp_open, LOOKUP_REVAL). It does that once. An open that finds nothing then, and loses again, would fail; it is settled here: the name is taken when it is free, or the caller's own file
/// is opened. Only of that can we tell that the kernel would open it too: of the caller's groups and capabilities we know nothing.
/// </remarks>
internal sealed partial class VolumeFileSystem
{
    /// <summary>What each thread was answered ESTALE for last: the kernel comes again in the same thread.</summary>
    private readonly ConcurrentDictionary<uint, Lost> _lost = new();

    private readonly record struct Lost(NodeId Directory, byte[] Name);

    public override ValueTask<FuseResult<CreateReply>> Create(FuseContext context, CreateRequest request)
    {
        var asked = Asking(context.Node);
        var call = CreateInVolume(context, request);
        if (!call.IsCompletedSuccessfully)
            return WaitForCreate(asked, call, context, request);
        var made = call.Result;
        return IsTaken(made, request) ? WaitForCreate(asked, new(made), context, request) : new(Opened(asked, made));
    }

    private async ValueTask<FuseResult<CreateReply>> WaitForCreate(Asked asked, ValueTask<FsResult<Attributes>> call, FuseContext context, CreateRequest request)
    {
        var made = await call;
        if (!IsTaken(made, request))
            return Opened(asked, made);
        if (!HasLost(context, request))
            return Errno.ESTALE;
        for (int attempt = 0; attempt < Limits.CreateAttempts; attempt++)
        {
            asked = Asking(context.Node);
            var found = await _volume.LookupAsync(Translate.Inode(context.Node), request.Name, Cancellation(context));
            if (found.TryGet(out var there, out _) && IsOwn(there, context.Uid, request.Flags))
                return await OpenOwn(asked, there, context, request.Flags);
            asked = Asking(context.Node);
            made = await CreateInVolume(context, request);
            if (!IsTaken(made, request))
                return Opened(asked, made);
        }
        return Errno.ESTALE;
    }

    private ValueTask<FsResult<Attributes>> CreateInVolume(FuseContext context, CreateRequest request) =>
        _volume.CreateAsync(Translate.Inode(context.Node), request.Name, new NewInode { Mode = request.Mode }, CallerOf(context, request.Umask), Cancellation(context));

    private static bool IsTaken(FsResult<Attributes> made, CreateRequest request) => made.Error == Model.Errno.EEXIST && !request.Flags.Exclusive;

    /// <summary>Whether the thread has lost this name before. That it may have been for another open is no harm.</summary>
    private bool HasLost(FuseContext context, CreateRequest request)
    {
        if (_lost.TryGetValue(context.Pid, out var lost) && lost.Directory == context.Node && request.Name.Span.SequenceEqual(lost.Name))
            return true;
        if (_lost.Count >= Limits.LostCreates)
            _lost.Clear();
        _lost[context.Pid] = new(context.Node, request.Name.ToArray());
        return false;
    }

    /// <summary>Whether a file is the caller's, and its owner may open it so: of an owner an ACL says what the mode says.</summary>
    private static bool IsOwn(in Attributes there, uint uid, OpenFlags flags)
    {
        const uint OwnerReads = 0x100, OwnerWrites = 0x80;
        uint wanted = (flags.CanRead ? OwnerReads : 0) | (flags.CanWrite || flags.Truncate ? OwnerWrites : 0);
        return there.IsRegular && there.Uid == uid && (there.Mode & wanted) == wanted && flags.AccessMode != 3
            && (there.Flags & (InodeFlags.Immutable | InodeFlags.AppendOnly)) == 0;
    }

    private async ValueTask<FuseResult<CreateReply>> OpenOwn(Asked asked, Attributes there, FuseContext context, OpenFlags flags)
    {
        if (flags.Truncate)
        {
            var change = new AttributeChange { Mask = context.Uid == 0 ? AttributeMask.Size : AttributeMask.Size | AttributeMask.KillPrivileges };
            var result = await _volume.SetAttributesAsync(there.Inode, change, CallerOf(context, umask: 0), Cancellation(context));
            if (!result.TryGet(out there, out var error))
                return Translate.Error(error);
        }
        return new CreateReply(Entry(asked, there), _policy.IsTold ? OpenTold(Translate.Node(there.Inode)) : Numbered(_opened));
    }

    public override ValueTask<FuseResult<CreateReply>> TmpFile(FuseContext context, CreateRequest request)
    {
        var asked = Asking(NodeId.None);
        var call = _volume.CreateUnnamedAsync(
            Translate.Inode(context.Node), new NewInode { Mode = request.Mode }, CallerOf(context, request.Umask), Cancellation(context));
        return call.IsCompletedSuccessfully ? new(Opened(asked, call.Result)) : Wait(asked, call);

        async ValueTask<FuseResult<CreateReply>> Wait(Asked asked, ValueTask<FsResult<Attributes>> pending) => Opened(asked, await pending);
    }

    private FuseResult<CreateReply> Opened(Asked asked, FsResult<Attributes> made) => made.TryGet(out var attributes, out var error)
        ? new CreateReply(Entry(asked, attributes), Numbered(s_kept))
        : Translate.Error(error);
}
