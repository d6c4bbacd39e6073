using System.Collections.Concurrent;
using OrleansFs.Fuse;
using OrleansFs.Model;
using Errno = OrleansFs.Fuse.Errno;

namespace OrleansFs.Mount;

/// <summary>
/// A volume as the kernel sees it: each FUSE operation is one call of <see cref="IVolumeAccess"/> and a translation.
/// </summary>
/// <remarks>
/// Invariants:
/// 1. A call that the volume completes at once is answered at once, on the thread that brought it, without an allocation: a state machine exists only in the <c>Wait</c> functions.
/// 2. Each node in an answer is counted before the answer leaves, and given back by FORGET or at the end of the mount. <see cref="Holds"/> is that count: no
///    unlinked inode goes while the kernel can still name it.
/// 3. Nothing is decided here that the volume decides. Permission is the kernel's (default_permissions, POSIX ACLs); what it decides by the flags of an inode of its own is in
///    <see cref="Open"/> and <see cref="GetXAttr"/>.
/// </remarks>
internal sealed partial class VolumeFileSystem : FuseFileSystem, ICacheHolder
{
    private readonly LookupCounts _known = new();

    /// <summary>
    /// Files whose change time the kernel has wrong: with the write-back cache it believes its own (fs/fuse/inode.c, fuse_get_cache_mask), and a change of flags is no change to it. It has to forget such a file, which it can when
    /// nobody has it open: each close asks for that, until FORGET comes.
    /// </summary>
    private readonly ConcurrentDictionary<NodeId, byte> _outdated = new();

    private readonly MountPolicy _policy;
    private readonly IVolumeAccess _volume;
    private readonly ICachedAccess? _cached;

    /// <summary>Alone, what is cached stays true. Among others an open begins anew.</summary>
    private readonly OpenReply _opened;

    private readonly HeldNames _names = new(TimeProvider.System);

    /// <summary>Runs under the lock of the count: who looks the node up anew notes things after that.</summary>
    private readonly Action<NodeId> _drop;

    private uint _preferredIO = Limits.SpaceUnit;

    /// <param name="openSession">Gives the volume to a session whose knowledge of inodes is asked of its argument.</param>
    /// <param name="policy">What the kernel may keep.</param>
    /// <param name="accessTimes">When reads bring up access times.</param>
    public VolumeFileSystem(Func<ICacheHolder, IVolumeAccess> openSession, MountPolicy policy, AccessTimes accessTimes)
    {
        _policy = policy;
        _accessTimes = accessTimes;
        _opened = new OpenReply(default, policy.WritebackCache ? OpenReplyFlags.KeepCache : OpenReplyFlags.None);
        _drop = Drop;
        _volume = openSession(this);
        _cached = (_volume is FolderedVolume foldered ? foldered.Volume : _volume) as ICachedAccess;
    }

    /// <summary>Tells the kernel what it does not know; null until the mount is there.</summary>
    public FuseNotifier? Notifier { get; set; }

    /// <summary>The folder <c>.orleansfs</c>; null where the mount has none.</summary>
    public ContentFolder? Folder { get; set; }

    /// <summary>Nodes that the kernel knows besides the root.</summary>
    public long KnownNodes => _known.Count;

    public bool Holds(InodeNumber inode) => _known.Contains(Translate.Node(inode));

    public override ValueTask<FuseResult<InitReply>> Init(InitRequest request)
    {
        return Agree();

        async ValueTask<FuseResult<InitReply>> Agree()
        {
            var space = await _volume.GetSpaceAsync(CancellationToken.None);
            if (!space.TryGet(out var report, out var error))
                return Translate.Error(error);
            _preferredIO = (uint)Math.Clamp(report.BlockSize, (int)Limits.SpaceUnit, Limits.MaxPreferredIO);
            return request.Proposal;
        }
    }

    public override ValueTask Destroy()
    {
        _known.Clear(node => _volume.Forget(Translate.Inode(node)));
        return ValueTask.CompletedTask;
    }

    public override void Forget(ReadOnlySpan<NodeForget> forgets)
    {
        foreach (var forget in forgets)
        {
            var inode = Translate.Inode(forget.Node);
            // It counts its files itself, from before they are answered.
            if (inode.IsOfMount)
                Folder?.Forget(inode, forget.Lookups);
            if (_known.Forget(forget.Node, forget.Lookups, _drop) && !inode.IsOfMount)
                _volume.Forget(inode);
        }
    }

    /// <summary>What is noted of a node for as long as the kernel knows it.</summary>
    private void Drop(NodeId node)
    {
        _fresh.TryRemove(node, out _);
        _names.Forget(node);
        ForgetPages(node);
        _privileged.TryRemove(node, out _);
        _outdated.TryRemove(node, out _);
    }

    private CancellationToken Cancellation(FuseContext context) => _policy.Cancellable ? context.CancellationToken : CancellationToken.None;

    private static Caller CallerOf(FuseContext context, uint umask) => new(context.Uid, context.Gid, context.Pid, umask);

    /// <summary>The entry for attributes, counted.</summary>
    private EntryReply Entry(Asked asked, in Attributes attributes)
    {
        var node = Translate.Node(attributes.Inode);
        bool isFirst = _known.Add(node);
        NotePrivileges(attributes);
        EntryReply entry = default;
        entry.Node = node;
        entry.EntryTimeout = NameHolds(asked);
        entry.AttrTimeout = AttributesHold(attributes.Inode, isFirst);
        entry.Attr = Translate.Attributes(attributes, _preferredIO);
        if (attributes.Inode.IsOfMount)
        {
            // Nobody changes what is there; a report is another with each look-up.
            entry.AttrTimeout = TimeSpan.MaxValue;
            entry.EntryTimeout = Folder?.IsKept(attributes.Inode) == true ? TimeSpan.MaxValue : TimeSpan.Zero;
        }
        return entry;
    }

    private FuseResult<EntryReply> Entry(Asked asked, FsResult<Attributes> result) =>
        result.TryGet(out var attributes, out var error) ? Entry(asked, attributes) : Translate.Error(error);

    private ValueTask<FuseResult<EntryReply>> Entry(Asked asked, ValueTask<FsResult<Attributes>> call)
    {
        return call.IsCompletedSuccessfully ? new(Entry(asked, call.Result)) : Wait(asked, call);

        async ValueTask<FuseResult<EntryReply>> Wait(Asked asked, ValueTask<FsResult<Attributes>> pending) => Entry(asked, await pending);
    }

    private FuseResult<AttrReply> Attr(FsResult<Attributes> result)
    {
        if (!result.TryGet(out var attributes, out var error))
            return Translate.Error(error);
        NotePrivileges(attributes);
        return new AttrReply { AttrTimeout = AttributesHold(attributes.Inode, isFirst: false), Attr = Translate.Attributes(attributes, _preferredIO) };
    }

    private ValueTask<FuseResult<AttrReply>> Attr(ValueTask<FsResult<Attributes>> call)
    {
        return call.IsCompletedSuccessfully ? new(Attr(call.Result)) : Wait(call);

        async ValueTask<FuseResult<AttrReply>> Wait(ValueTask<FsResult<Attributes>> pending) => Attr(await pending);
    }

    private static FuseResult Done(FsResult result) => Translate.Error(result.Error);

    private static ValueTask<FuseResult> Done(ValueTask<FsResult> call)
    {
        return call.IsCompletedSuccessfully ? new(Done(call.Result)) : Wait(call);

        static async ValueTask<FuseResult> Wait(ValueTask<FsResult> pending) => Done(await pending);
    }

    private static FuseResult<T> Value<T>(FsResult<T> result) => result.TryGet(out var value, out var error) ? value : Translate.Error(error);

    private static ValueTask<FuseResult<T>> Value<T>(ValueTask<FsResult<T>> call)
    {
        return call.IsCompletedSuccessfully ? new(Value(call.Result)) : Wait(call);

        static async ValueTask<FuseResult<T>> Wait(ValueTask<FsResult<T>> pending) => Value(await pending);
    }

    /// <summary>Bytes by the rule of the library: the length always, the bytes where they fit.</summary>
    private static FuseResult<int> Copy(FsResult<ReadOnlyMemory<byte>> result, Memory<byte> destination)
    {
        if (!result.TryGet(out var bytes, out var error))
            return Translate.Error(error);
        bytes.Span.TryCopyTo(destination.Span);
        return bytes.Length;
    }

    private static ValueTask<FuseResult<int>> Copy(ValueTask<FsResult<ReadOnlyMemory<byte>>> call, Memory<byte> destination)
    {
        return call.IsCompletedSuccessfully ? new(Copy(call.Result, destination)) : Wait(call, destination);

        static async ValueTask<FuseResult<int>> Wait(ValueTask<FsResult<ReadOnlyMemory<byte>>> pending, Memory<byte> destination) => Copy(await pending, destination);
    }
}
