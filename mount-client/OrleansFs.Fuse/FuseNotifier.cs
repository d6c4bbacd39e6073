namespace OrleansFs.Fuse;

/// <summary>
/// Tells the kernel what changed behind its back. Calls queue and return at once; a thread of its own sends, because a notification takes locks in the
/// kernel that a request in progress may hold. Safe from any thread.
/// </summary>
public abstract class FuseNotifier
{
    /// <summary>The mount is gone, or about to go: nothing is queued any more.</summary>
    public abstract bool IsGone { get; }

    /// <summary>Drop cached attributes, and cached pages of a range.</summary>
    /// <param name="node">The node.</param>
    /// <param name="offset">First byte; negative drops attributes only.</param>
    /// <param name="length">How many; 0 is all that follows.</param>
    /// <returns>False when the queue is full or the mount is gone: nothing is queued.</returns>
    public abstract bool TryInvalidateInode(NodeId node, long offset = 0, long length = 0);

    /// <summary>
    /// Drop the cached attributes of the node that a request under way is about, before that is answered. Sent by the calling thread: for this the kernel takes no lock that a request holds (fs/fuse/inode.c,
    /// fuse_reverse_inval_inode without a range), and the node stays as long as the request does.
    /// </summary>
    /// <param name="node">The node of the request.</param>
    /// <returns>False when the mount is gone.</returns>
    public abstract bool InvalidateAttributes(NodeId node);

    /// <summary>Drop a name from the cache.</summary>
    /// <param name="parent">The directory.</param>
    /// <param name="name">1 to 255 bytes; copied.</param>
    /// <param name="expireOnly">Only let it be looked up again, and leave mounts and open files under it alone (7.38).</param>
    /// <returns>False when the queue is full or the mount is gone: nothing is queued.</returns>
    public abstract bool TryInvalidateEntry(NodeId parent, ReadOnlySpan<byte> name, bool expireOnly = false);

    /// <summary>A name was removed elsewhere: drop it, and tell those who watch it.</summary>
    /// <param name="parent">The directory.</param>
    /// <param name="child">The node that had the name; nothing happens where the kernel has another one there.</param>
    /// <param name="name">1 to 255 bytes; copied.</param>
    /// <returns>False when the queue is full or the mount is gone: nothing is queued.</returns>
    public abstract bool TryDelete(NodeId parent, NodeId child, ReadOnlySpan<byte> name);

    /// <summary>Forget a node that is known by nothing but cached names: those of them that nobody uses go, and with the last one the node (7.45, Linux 6.18). Takes no lock of a directory.</summary>
    /// <param name="node">The node.</param>
    /// <returns>False when the kernel is older, the queue is full or the mount is gone: nothing is queued.</returns>
    public abstract bool TryPrune(NodeId node);

    /// <summary>Put data into the page cache.</summary>
    /// <param name="node">The node.</param>
    /// <param name="offset">First byte.</param>
    /// <param name="data">Up to the mount's largest write; copied.</param>
    /// <returns>False when the queue is full or the mount is gone: nothing is queued.</returns>
    public abstract bool TryStore(NodeId node, long offset, ReadOnlySpan<byte> data);

    /// <summary>A polled file became ready.</summary>
    /// <param name="kernelHandle">From the <see cref="PollRequest"/>.</param>
    /// <returns>False when the queue is full or the mount is gone: nothing is queued.</returns>
    public abstract bool TryPollWakeup(ulong kernelHandle);

    /// <summary>Completes when everything queued so far is with the kernel, or the mount is gone.</summary>
    public abstract Task FlushAsync(CancellationToken cancellationToken = default);
}
