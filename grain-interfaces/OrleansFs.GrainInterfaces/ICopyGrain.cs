using Orleans;
using Orleans.Concurrency;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>A copy as such. Key: <see cref="CopyGrainKey"/>. Tells a client that knows only the name of a silo which volume it serves.</summary>
[Alias("ofs.ICopyGrain")]
public interface ICopyGrain : IGrainWithStringKey
{
    [Alias("Describe"), ReadOnly]
    ValueTask<FsResult<CopyDescription>> DescribeAsync(CancellationToken cancellation);

    /// <summary>The replicas of this copy, which is a master; <c>EROFS</c> where it is none, or another has taken over.</summary>
    [Alias("ListReplicas"), ReadOnly]
    ValueTask<FsResult<MasterReport>> ListReplicasAsync(CancellationToken cancellation);

    /// <summary>Brings everything to disk, here and on replicas; waits at most <see cref="Limits.DrainWait"/>, and is called again with the target that it answered until it is done. <c>EROFS</c> where it is no master, or another has taken over.</summary>
    /// <param name="copies">On so many replicas, 1 or more.</param>
    /// <param name="target">What an earlier call answered; null to begin.</param>
    /// <param name="cancellation">Cancels the wait.</param>
    [Alias("Drain"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult<DrainStep>> DrainAsync(int copies, Lsn? target, CancellationToken cancellation);

    /// <summary>Begins or ends the verification of this copy's block files, and tells how it stands. <c>EAGAIN</c> from a replica that has had no full copy yet.</summary>
    [Alias("Verify")]
    ValueTask<FsResult<VerificationReport>> VerifyAsync(VerificationAction action, CancellationToken cancellation);

    /// <summary>
    /// Asked of the master by a replica that is to take over: brings everything to that replica, and takes no changes from then on for a while. Answers with the last mutation. <c>EROFS</c> where it is no master,
    /// <c>ETIMEDOUT</c> where the replica does not come that far within <see cref="Limits.YieldPatience"/>.
    /// </summary>
    /// <param name="to">The replica.</param>
    /// <param name="cancellation">Ends it: the master goes on.</param>
    [Alias("Yield"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult<Lsn>> YieldAsync(CopyName to, CancellationToken cancellation);

    /// <summary>
    /// Makes this replica the master. A master that can be reached hands over first, so that nothing is missing; else with what this copy and the other replicas have that can be reached. <c>EEXIST</c> where it is one,
    /// <c>EAGAIN</c> where it has had no full copy yet, <c>EBUSY</c> where the master is there and cannot hand over in time, <c>ESTALE</c> where another replica is further and what it has more cannot be had from it,
    /// <c>EALREADY</c> where another promotion, begun at the same time, goes on in place of this one, <c>EIO</c> where that cannot be written down.
    /// </summary>
    /// <param name="force">What another copy has more and cannot be had from it is given up.</param>
    /// <param name="cancellation">Cancels the wait.</param>
    [Alias("Promote"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult<Promotion>> PromoteAsync(bool force, CancellationToken cancellation);
}

/// <summary>A copy has become the master.</summary>
[GenerateSerializer, Immutable, Alias("ofs.Promotion")]
public readonly record struct Promotion
{
    /// <summary>Its epoch.</summary>
    [Id(0)] public required Epoch Epoch { get; init; }

    /// <summary>The master before, where it was there and handed over all that it had; else null.</summary>
    [Id(1)] public CopyName? HandedOver { get; init; }
}
