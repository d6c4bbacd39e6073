using OrleansFs.Cli.Control;
using OrleansFs.Client;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;
using OrleansFs.Mount;

namespace OrleansFs.Cli.Commands;

/// <summary>A volume that this process mounts, served by itself or by a silo elsewhere. Disposing of it commits what it holds and lets it go.</summary>
internal interface IServedVolume : IAsyncDisposable
{
    /// <summary>What is mounted, for people: "volume V of DIR".</summary>
    string What { get; }

    /// <summary>Where the control socket is, and what the mount table shows as the source.</summary>
    string ControlFolder { get; }

    /// <summary>What the kernel may keep of it.</summary>
    MountPolicy Policy { get; }

    /// <summary>Whether every change is refused.</summary>
    bool ReadOnly { get; }

    /// <summary>What a user should know of it beyond that it is mounted, in one line; null where there is nothing.</summary>
    string? Notice => null;

    /// <summary>Does what may be done while the kernel is asked for the mount.</summary>
    Task StartAsync(CancellationToken cancellation);

    /// <summary>Tells other processes that the folder is about to be let go; where there is none, nothing is said.</summary>
    void AnnounceEnd()
    {
    }

    /// <summary>The volume for the mount.</summary>
    IVolumeAccess OpenSession(ICacheHolder holder);

    ValueTask<FsResult<VolumeStatus>> StatusAsync(CancellationToken cancellation);

    /// <summary>The replicas of the volume, as its master has them.</summary>
    /// <exception cref="CommandException">It cannot be told from here.</exception>
    Task<MasterReport> ReplicasAsync(CancellationToken cancellation);

    /// <summary>A step of a drain: brings everything to disk (with no target), waits a moment, and tells how far the replicas are.</summary>
    /// <exception cref="CommandException">It cannot be done.</exception>
    Task<DrainStep> DrainAsync(int copies, Lsn? target, CancellationToken cancellation);

    /// <summary>Begins or ends the verification of block files, of one copy or of all that are there.</summary>
    /// <exception cref="CommandException">It cannot be done.</exception>
    Task<IReadOnlyList<CopyVerification>> VerifyAsync(CopyName? copy, VerificationAction action, CancellationToken cancellation);

    /// <summary>Deletes what nothing refers to.</summary>
    /// <exception cref="CommandException">It cannot be done from here.</exception>
    Task<CollectResult> CollectAsync(bool dryRun, IProgress<WorkProgress> progress, CancellationToken cancellation);
}
