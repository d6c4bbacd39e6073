using System.Collections.Concurrent;
using OrleansFs.Fuse;
using OrleansFs.Model;

namespace OrleansFs.Mount;

/// <content>What the kernel keeps while others change the volume too.</content>
/// <remarks>
/// Attributes are taken back by a notification, which in the kernel takes no lock that a request holds (fs/fuse/inode.c, fuse_reverse_inval_inode without a range), and which also voids an answer that is on its
/// way to it (attr_version). Only of a node that it does not know yet it cannot void anything: so the first answer about a node is not kept. With stale attributes the kernel asks again before it reads, and drops
/// the pages of a file whose size or modify time is another (AUTO_INVAL_DATA); an open after a change drops them in any case. Pages are not taken back by notifications, for that waits for the lock of each.
/// </remarks>
internal sealed partial class VolumeFileSystem
{
    /// <summary>Files whose pages are as they were at an open of this generation or later.</summary>
    private readonly ConcurrentDictionary<NodeId, long> _fresh = new();

    private long _generation;

    public async ValueTask InvalidateAsync(InodeNumber[] inodes, bool areChanged)
    {
        bool isTold = false;
        var names = TimeSpan.Zero;
        _names.Void();
        foreach (var inode in inodes)
        {
            var node = Translate.Node(inode);
            if (_names.Recall(node, areChanged) is var rest && rest > names)
                names = rest;
            _fresh.TryRemove(node, out _);
            if (!_known.Contains(node))
                continue;
            isTold = true;
            while (Notifier is { IsGone: false } notifier && !notifier.TryInvalidateInode(node, offset: -1))
                await notifier.FlushAsync();
        }
        if (isTold && Notifier is { } told)
            await told.FlushAsync();
        if (names > TimeSpan.Zero)
            await Task.Delay(names);
    }

    /// <remarks>A kernel that is alone lets go by itself: it has removed the name. Of what another mount has removed it keeps what it looked up for as long as it has memory.</remarks>
    public void LetGo(InodeNumber inode)
    {
        if (_policy.IsTold)
            _ = Notifier?.TryPrune(Translate.Node(inode));
    }

    public void InvalidateAll()
    {
        _names.Void();
        Interlocked.Increment(ref _generation);
    }

    /// <summary>The volume is about to be asked for names of a directory.</summary>
    private Asked Asking(NodeId directory) => new(directory, _policy.IsTold ? _names.Begin() : 0);

    /// <summary>How long the kernel may keep a name that is about to be answered.</summary>
    private TimeSpan NameHolds(Asked asked) =>
        !_policy.IsTold ? _policy.EntryTimeout
        : asked.Directory == NodeId.None ? TimeSpan.Zero
        : _names.Give(asked.Directory, asked.Begun, _cached is { } cached ? cached.NamesHold(Translate.Inode(asked.Directory)) : TimeSpan.MaxValue);

    /// <summary>What the kernel moves or exchanges it keeps, each where it is then. So it is noted before others can hear of the change, and again when it has been made.</summary>
    private void Moving(NodeId from, NodeId to)
    {
        if (!_policy.IsTold || from == to)
            return;
        _names.Move(from);
        _names.Move(to);
    }

    private ValueTask<FuseResult> Moved(NodeId from, NodeId to, ValueTask<FuseResult> call)
    {
        if (!_policy.IsTold || from == to)
            return call;
        return Wait(call);

        async ValueTask<FuseResult> Wait(ValueTask<FuseResult> pending)
        {
            var result = await pending;
            Moving(from, to);
            return result;
        }
    }

    /// <summary>In which directory a name was asked for or made, and when.</summary>
    private readonly record struct Asked(NodeId Directory, long Begun);

    /// <summary>How long the kernel may keep what it is answered of an inode.</summary>
    private TimeSpan AttributesHold(InodeNumber inode, bool isFirst) =>
        !_policy.IsTold ? _policy.AttributeTimeout
        : isFirst ? TimeSpan.Zero
        : _cached is { } cached ? cached.AttributesHold(inode)
        : _policy.AttributeTimeout;

    /// <summary>Opens a file: what the kernel has of its content is good where nobody has changed it since the open before.</summary>
    private OpenReply OpenTold(NodeId node)
    {
        long generation = Volatile.Read(ref _generation);
        if (_fresh.TryGetValue(node, out long opened) && opened == generation)
            return Numbered(s_kept);
        _fresh[node] = generation;
        return Numbered(default);
    }
}
