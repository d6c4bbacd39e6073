using System.Collections.Concurrent;
using OrleansFs.Fuse;
using OrleansFs.Model;

namespace OrleansFs.Mount;

/// <content>Access times of what the page cache answers.</content>
/// <remarks>
/// The kernel tells us nothing of a read that its page cache answers, and brings up no access time itself (fs/fuse/inode.c sets S_NOATIME). What it does ask us for is the open. Who opens a file for reading only reads it: so
/// where a read would bring up the access time, the open does, unless the kernel has no pages of the file and so will ask. To have the kernel give up its pages at such an open would be exact, and read everything once more that was just written.
/// </remarks>
internal sealed partial class VolumeFileSystem
{
    private readonly AccessTimes _accessTimes;

    /// <summary>Files of which the kernel may have pages: those that were read or written since it came to know them. Past <see cref="Limits.PagedFiles"/> all are forgotten, and an open of them marks nothing.</summary>
    private readonly ConcurrentDictionary<NodeId, byte> _paged = new();

    private int _pagedFiles;

    private ValueTask<FuseResult<OpenReply>> OpenForReading(FuseContext context, OpenFlags flags)
    {
        var inode = Translate.Inode(context.Node);
        if (inode.IsOfMount)
            return new(s_kept);
        var reply = _policy.IsTold ? OpenTold(context.Node) : Numbered(_opened);
        return (reply.Flags & OpenReplyFlags.KeepCache) != 0 && !flags.NoAccessTime && _paged.ContainsKey(context.Node) && IsAccessDue(inode) ? MarkAccessed() : new(reply);

        ValueTask<FuseResult<OpenReply>> MarkAccessed()
        {
            var marking = _volume.ReadAsync(inode, 0, Memory<byte>.Empty, Cancellation(context));
            return marking.IsCompletedSuccessfully ? new(Marked(marking.Result, context.Node, reply)) : Wait(marking, context.Node, reply);
        }
        async ValueTask<FuseResult<OpenReply>> Wait(ValueTask<FsResult<int>> marking, NodeId node, OpenReply opened) => Marked(await marking, node, opened);
        OpenReply Marked(FsResult<int> marked, NodeId node, OpenReply opened)
        {
            if (marked.IsOk)
                Notifier?.InvalidateAttributes(node);
            return opened;
        }
    }

    /// <summary>The kernel gets or has pages of a file.</summary>
    private void NotePages(NodeId node)
    {
        if (_accessTimes == AccessTimes.Never || _paged.ContainsKey(node) || !_paged.TryAdd(node, 0) || Interlocked.Increment(ref _pagedFiles) <= Limits.PagedFiles)
            return;
        _paged.Clear();
        Volatile.Write(ref _pagedFiles, 0);
    }

    /// <summary>The kernel knows the file no more.</summary>
    private void ForgetPages(NodeId node)
    {
        if (_paged.TryRemove(node, out _))
            Interlocked.Decrement(ref _pagedFiles);
    }

    /// <summary>Whether a read of a file would bring up its access time. What is not known at once of a file elsewhere is not worth a message, unless each read counts.</summary>
    private bool IsAccessDue(InodeNumber inode)
    {
        if (_accessTimes == AccessTimes.Never)
            return false;
        if (_cached?.AttributesHold(inode) == TimeSpan.Zero)
            return _accessTimes == AccessTimes.Strict;
        var known = _volume.GetAttributesAsync(inode, CancellationToken.None);
        return known.IsCompletedSuccessfully && known.Result.TryGet(out var attributes, out _) && attributes.IsRegular && attributes.Size > 0
            && _accessTimes.AreDue(attributes, Timestamp.From(TimeProvider.System.GetUtcNow()));
    }
}
