using Microsoft.Extensions.Logging;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <content>Files of blocks that no row speaks of: collected shortly before a restart, left by a full copy, or sent ahead of a journal that never came to name them.</content>
public sealed partial class ReplicaReceiver
{
    /// <summary>Its master goes on from where this replica is: nothing that was received is wanted for a full copy. Guarded by the gate.</summary>
    private bool _follows;

    /// <summary>No full copy has been taken since the last sweep began.</summary>
    private volatile bool _isSwept;

    /// <summary>Deletes such files some time after the start, after each full copy, and now and then.</summary>
    private async Task SweepAsync(VolumeCopy volume, CancellationToken cancellation)
    {
        var start = _time.GetUtcNow();
        await Task.Delay(Limits.SweepAfterStart, _time, cancellation);
        long? last = null;
        while (volume.Role == VolumeRole.Replica)
        {
            // What an earlier run has left nobody is about to name without a look at it.
            var before = last is null ? start : _time.GetUtcNow() - Limits.TemporaryAge;
            bool isDue = last is not { } at || !_isSwept || _time.GetElapsedTime(at) >= Limits.SweepInterval;
            if (isDue && await Task.Run(() => TrySweepAsync(volume, Timestamp.From(before), cancellation), cancellation))
                last = _time.GetTimestamp();
            await Task.Delay(Limits.CollectInterval, _time, cancellation);
        }
        await Task.Delay(Timeout.InfiniteTimeSpan, _time, cancellation);
    }

    /// <returns>False where a full copy is taken, or may have to be: then it is tried again.</returns>
    private async Task<bool> TrySweepAsync(VolumeCopy volume, Timestamp before, CancellationToken cancellation)
    {
        _isSwept = true;
        var strays = new List<BlockHash>();
        if (await DeleteStraysAsync(volume, strays, cancellation) is null)
            return false;
        long seen = 0, deleted = 0;
        foreach (var entry in volume.BlockStore.Files.Enumerate())
        {
            if (entry.Hash is { } hash && entry.ModifyTime <= before && !volume.Metadata.TryGetBlock(hash, out _))
                strays.Add(hash);
            if (++seen % Limits.CollectBatch != 0)
                continue;
            if (await DeleteStraysAsync(volume, strays, cancellation) is not { } more)
                return false;
            deleted += more;
            await Task.Delay(Limits.TakeUpPause, _time, cancellation);
        }
        if (await DeleteStraysAsync(volume, strays, cancellation) is not { } rest)
            return false;
        if (deleted + rest > 0)
            _logger.LogInformation("{Count} block files that nothing referred to have been deleted", deleted + rest);
        return true;
    }

    /// <summary>Deletes those that are strays still. With the gate held: no row comes between the look and the end of the file.</summary>
    /// <returns>How many; null where it is not the time for it.</returns>
    private async ValueTask<long?> DeleteStraysAsync(VolumeCopy volume, List<BlockHash> strays, CancellationToken cancellation)
    {
        await _gate.WaitAsync(cancellation);
        try
        {
            if (!_follows || _copy is not null || volume.Role != VolumeRole.Replica)
                return null;
            // The row of one may have gone just now, by a transaction that is not on disk.
            if (strays.Count > 0)
                await volume.Metadata.DurableAsync(CancellationToken.None);
            long deleted = strays.Count(h => volume.ReplicaBlocks.DeleteStray(h) is not null);
            strays.Clear();
            return deleted;
        }
        finally
        {
            _gate.Release();
        }
    }
}
