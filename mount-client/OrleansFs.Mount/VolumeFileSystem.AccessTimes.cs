using OrleansFs.Fuse;
using OrleansFs.Model;

namespace OrleansFs.Mount;

/// <content>Access times of what the page cache answers.</content>
/// <remarks>
/// The kernel tells us nothing of a read that its page cache answers, and brings up no access time itself (fs/fuse/inode.c sets S_NOATIME). What it does ask us for is the open. Who opens a file for reading only reads it: so
/// where a read would bring up the access time, the open does. To have the kernel give up its pages at such an open would be exact, and read everything once more that was just written.
/// </remarks>
internal sealed partial class VolumeFileSystem
{
    private readonly AccessTimes _accessTimes;

    private ValueTask<FuseResult<OpenReply>> OpenForReading(FuseContext context, OpenFlags flags)
    {
        var inode = Translate.Inode(context.Node);
        if (inode.IsOfMount)
            return new(s_kept);
        var reply = _policy.IsTold ? OpenTold(context.Node) : _opened;
        // Without its pages the kernel asks for what is read.
        return (reply.Flags & OpenReplyFlags.KeepCache) != 0 && !flags.NoAccessTime && IsAccessDue(inode) ? MarkAccessed(reply, context) : new(reply);

        async ValueTask<FuseResult<OpenReply>> MarkAccessed(OpenReply opened, FuseContext caller)
        {
            var marked = await _volume.ReadAsync(Translate.Inode(caller.Node), 0, Memory<byte>.Empty, Cancellation(caller));
            if (marked.IsOk && Notifier is { } notifier && notifier.TryInvalidateInode(caller.Node, offset: -1))
                await notifier.FlushAsync(Cancellation(caller));
            return opened;
        }
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
