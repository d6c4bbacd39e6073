using Orleans;
using Orleans.Concurrency;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>
/// One mount at one copy: its lease, what it may know of unlinked inodes, its locks. Key: <see cref="SessionKey"/>. A client that is silent for longer than its lease loses all of it.
/// </summary>
/// <remarks>
/// <b>Unlinked files.</b> A copy cannot ask a client within an unlink whether it has the file open, and does not keep a list of what each client has ever looked up. It takes it
/// that every session may know the inode, keeps it as an orphan, and asks with the next <see cref="HeartbeatAsync"/>; the session gives up what it does not know.
/// So the state of a session is as large as the orphans, not as the tree.
/// </remarks>
[Alias("ofs.ISessionGrain")]
public interface ISessionGrain : IGrainWithStringKey
{
    /// <summary>
    /// Begins the session, or begins it anew: what was held before under this id is given up. <c>EBUSY</c> where the copy's own process mounts it alone, <c>EMFILE</c> where there are as many
    /// sessions as it takes, <c>EPROTONOSUPPORT</c> where client and silo are built of different contracts, <c>ESTALE</c> where the session is one of another volume.
    /// </summary>
    [Alias("Attach")]
    ValueTask<FsResult<SessionGrant>> AttachAsync(SessionStart start, CancellationToken cancellation);

    /// <summary>
    /// The session was attached to a copy that was started anew, and has claimed its locks and made its unsynced content again. Completes when every other session of before has done so too, or
    /// <see cref="Limits.Grace"/> is over: until then nobody may see, or build upon, a state that lacks what another was answered. Also said by a session without which others went on
    /// (<see cref="SessionGrant.Lapsed"/>), when nothing that it wrote before is in memory only.
    /// </summary>
    /// <param name="session">The session.</param>
    /// <param name="lapses">How often others had gone on without it (<see cref="SessionPulse.Lapses"/>) before it began to bring to disk what it wrote: where they have again since, that counts. -1: not all of it is on disk.</param>
    /// <param name="cancellation">Ends the waiting.</param>
    [Alias("Recovered")]
    ValueTask<FsResult> RecoveredAsync(SessionTicket session, long lapses, CancellationToken cancellation);

    /// <summary>
    /// From now on the session holds a lease on each inode of which it is answered anything: a change of it by another is answered only when this session has let go. Answers with the term of these leases.
    /// <c>EOPNOTSUPP</c> where the copy is not the master's: nothing may be cached then.
    /// </summary>
    [Alias("Subscribe")]
    ValueTask<FsResult<long>> SubscribeAsync(SessionTicket session, ISessionObserver observer, CancellationToken cancellation);

    /// <summary>Renews the lease.</summary>
    [Alias("Heartbeat")]
    ValueTask<FsResult<SessionPulse>> HeartbeatAsync(SessionTicket session, CancellationToken cancellation);

    /// <summary>The session knows these inodes no longer. Those that are orphans nobody else holds go.</summary>
    /// <param name="session">The session.</param>
    /// <param name="inodes">At most <see cref="Limits.MaxInodesPerCall"/>.</param>
    /// <param name="cancellation">Cancels the wait.</param>
    [Alias("Forget")]
    ValueTask<FsResult> ForgetAsync(SessionTicket session, [Immutable] InodeNumber[] inodes, CancellationToken cancellation);

    /// <summary>Ends the session: locks and holds are given up.</summary>
    [Alias("Detach")]
    ValueTask<FsResult> DetachAsync(SessionTicket session, CancellationToken cancellation);

    [Alias("GetLock"), ReadOnly]
    ValueTask<FsResult<FileLock>> GetLockAsync(SessionTicket session, InodeNumber inode, FileLock wanted, CancellationToken cancellation);

    /// <summary>As <see cref="IVolumeAccess.SetLockAsync"/>, but a wait ends with <c>EAGAIN</c> after <see cref="Limits.LockWait"/>, and the client asks again (with a new
    /// <see cref="ChangeRequest.Sequence"/>). Cancelled: <c>EINTR</c>, or success where the lock was granted before.</summary>
    [Alias("SetLock")]
    ValueTask<FsResult> SetLockAsync(ChangeRequest request, InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation);
}

/// <summary>A client, as the copy sees it.</summary>
[Alias("ofs.ISessionObserver")]
public interface ISessionObserver : IGrainObserver
{
    /// <summary>
    /// Lets go of everything that is cached of these inodes: attributes, content and, of directories, names; and brings to disk at the copy what was written to them, so that it is not written again over the change.
    /// Completes when that is done; only then may the copy answer who changed them.
    /// </summary>
    /// <param name="inodes">The inodes.</param>
    /// <param name="areChanged">Others have changed some of them. False: the session was told of more inodes than the copy keeps count of.</param>
    [Alias("Recall")]
    Task RecallAsync([Immutable] InodeNumber[] inodes, bool areChanged);
}
