using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <content>
/// A master that is there hands over to a replica that is to be the next: it takes no changes for a while, and brings all that it was given to that replica. So nothing that anybody was answered is missing from the new master.
/// It is fenced by that one's epoch as any master is; where none comes, it goes on when the while is over.
/// </content>
public sealed partial class VolumeCopy
{
    private long _yieldsUntil;

    /// <summary>How long who has been answered that everything was handed over may take to begin its epoch.</summary>
    public static TimeSpan HandOverStands => Limits.YieldFor - Limits.YieldMargin;

    /// <summary>Changes are refused for a while, because another copy is about to become the master. When it is, this one is read-only instead.</summary>
    public bool IsYielding => Volatile.Read(ref _yieldsUntil) is var until and not 0 && _time.GetTimestamp() < until && !ReadOnly;

    /// <summary>Called when this copy takes no changes for a while: what is answered to sessions from then on counts for nothing. Must not fail.</summary>
    public event Action? Yielding;

    /// <summary>Changes are answered with EROFS now. Looked at with the metadata lock held for a change of metadata, and once the file is dirty for one of content: so a change is part of what is handed over, or is not made.</summary>
    internal bool RefusesChanges => ReadOnly || IsYielding;

    /// <summary>Brings everything to the disk of a replica, and takes no changes from then on for <see cref="Limits.YieldFor"/>.</summary>
    /// <param name="to">The replica.</param>
    /// <param name="patience">How long it may take while changes are still taken.</param>
    /// <param name="cancellation">Ends it: then this copy goes on.</param>
    /// <returns>EROFS where this is no master; ETIMEDOUT where the replica does not come that far in time, or lacks blocks for as long; EIO, ENOSPC … where not everything can be brought to disk here.</returns>
    public async Task<FsResult<Lsn>> YieldAsync(CopyName to, TimeSpan patience, CancellationToken cancellation)
    {
        // To one replica at a time: that another cannot be brought as far does not end what was said to the first.
        await _promotion.WaitAsync(cancellation);
        try
        {
            if (Role != VolumeRole.Master || ReadOnly)
                return Errno.EROFS;
            // Most of it while programs go on, so that they wait for the rest only.
            var result = await BringToAsync(to, patience, cancellation);
            return result.IsOk ? await BringRestToAsync(to, cancellation) : result.Error;
        }
        finally
        {
            _promotion.Release();
        }
    }

    private async Task<FsResult<Lsn>> BringRestToAsync(CopyName to, CancellationToken cancellation)
    {
        long until = Volatile.Read(ref _yieldsUntil);
        // As long as this takes, and then as long as the other may take to become the master.
        Volatile.Write(ref _yieldsUntil, long.MaxValue);
        try
        {
            Yielding?.Invoke();
            var result = await BringToAsync(to, Limits.YieldFor / 2, cancellation);
            if (!result.IsOk)
                return result.Error;
            until = _time.GetTimestamp() + (long)(Limits.YieldFor.TotalSeconds * _time.TimestampFrequency);
            _logger.LogInformation("everything up to mutation {Lsn} is on the disk of '{To}', which is about to become the master", _metadata.Committed, to);
            return _metadata.Committed;
        }
        finally
        {
            Volatile.Write(ref _yieldsUntil, until);
        }
    }

    private async Task<FsResult> BringToAsync(CopyName to, TimeSpan patience, CancellationToken cancellation)
    {
        using var late = new CancellationTokenSource(patience, _time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(late.Token, cancellation);
        try
        {
            return await Replication.BringToAsync(to, linked.Token);
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            return Errno.ETIMEDOUT;
        }
    }
}
