using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Check;

namespace OrleansFs.Engine;

public sealed partial class VolumeCopy
{
    private long? _settlingFailed;

    /// <summary>Deletes blocks that nothing refers to and files that nothing knows.</summary>
    /// <param name="grace">How long they have to have been unused. Zero is safe: what is about to be used is known.</param>
    /// <param name="dryRun">Delete nothing, count only.</param>
    /// <param name="progress">Told what has been done so far.</param>
    /// <param name="cancellation">Stops between steps.</param>
    public async Task<CollectionReport> CollectAsync(TimeSpan grace, bool dryRun, IProgress<CollectionReport>? progress, CancellationToken cancellation)
    {
        if (Role == VolumeRole.Master)
        {
            var collected = await _collector.CollectAsync(grace, sweep: true, dryRun, progress, cancellation);
            // Who asks for it wants to see the room.
            if (!dryRun)
                _blocks.Files.DropRecycled();
            return collected;
        }
        // A replica's rows go when its master's go.
        if (dryRun)
            return default;
        var (files, bytes) = await Task.Run(() => ReplicaBlocks.Sweep(grace > Limits.TemporaryAge ? grace : Limits.TemporaryAge, cancellation), cancellation);
        _blocks.Files.DropRecycled();
        return new CollectionReport(0, files, bytes);
    }

    /// <summary>The disk seems full: what is deleted lets go of its blocks, what is in flight becomes as small as it can, and whatever is dead is collected, however lately it died.</summary>
    /// <returns>Whether there was room for a write then.</returns>
    private async Task<bool> MakeRoomAsync(CancellationToken cancellation)
    {
        // Others may have had the room since.
        if (_evictor is { } evictor && !_space.AdmitsContent(Limits.WriteStep) && await evictor.WaitForRoomAsync(_options.CacheFullTimeout, SettleForEvictionAsync, cancellation))
            return true;
        await _makingRoom.WaitAsync(cancellation);
        try
        {
            await PurgeUntilRoomAsync(cancellation);
            // What cannot be stored even so stays in flight, and need not be tried again for each of many writers.
            if (_settlingFailed is not { } at || _time.GetElapsedTime(at) >= Limits.RetryPause)
            {
                var settled = await _files.SettleAllAsync(_ => true, cancellation);
                _settlingFailed = settled.IsOk ? null : _time.GetTimestamp();
                await PurgeUntilRoomAsync(cancellation);
            }
        }
        finally
        {
            _blocks.Files.DropRecycled();
            _space.Forget();
            _makingRoom.Release();
        }
        return _space.AdmitsContent(Limits.WriteStep);
    }

    /// <summary>What is deleted, or cut off a large file, lets go of its blocks, and they go: a part at a time, until there is room or nothing is left.</summary>
    private async Task PurgeUntilRoomAsync(CancellationToken cancellation)
    {
        bool isMore;
        do
        {
            isMore = await _orphanage.PurgeSomeAsync(cancellation);
            await CollectDeadAsync(cancellation);
            _space.Forget();
        }
        while (isMore && !_space.AdmitsContent(Limits.WriteStep));
    }

    /// <summary>What is in memory becomes blocks that replicas can have; what is dead goes.</summary>
    private async ValueTask SettleForEvictionAsync(CancellationToken cancellation)
    {
        await CollectDeadAsync(cancellation);
        await _files.SettleAllAsync(_ => true, cancellation);
        await _committer.CommitAsync(cancellation);
    }

    private async Task CollectDeadAsync(CancellationToken cancellation)
    {
        await _collector.DeleteAbandonedAsync(cancellation);
        // Those of a collection under way, or of one that failed, are not counted any more, and their files may still be there.
        if (_metadata.Counters.DeadBlocks > 0 || _collector.IsDeleting)
            await _collector.CollectAsync(TimeSpan.Zero, sweep: false, dryRun: false, progress: null, cancellation);
    }

    /// <summary>Collects what has been dead for the grace period; at once where the disk is short of room.</summary>
    private async Task CollectLoopAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await Task.Delay(Limits.CollectTick, _time, cancellation);
            _blocks.Files.TrimFresh();
            _orphanage.PurgeAgain();
            if (FencedBy is null)
                await _collector.DeleteAbandonedAsync(cancellation);
            bool isShort = _space.IsShort;
            bool due = _time.GetElapsedTime(_lastCollection) >= Limits.CollectInterval;
            if ((_metadata.Counters.DeadBlocks == 0 && !_collector.IsDeleting) || (!isShort && !due) || RefusesChanges)
                continue;
            _lastCollection = _time.GetTimestamp();
            await _collector.CollectAsync(isShort ? TimeSpan.Zero : _options.CollectGrace, sweep: false, dryRun: false, progress: null, cancellation);
            if (isShort)
                _space.Forget();
        }
    }

    /// <summary>Finds files that no row speaks of: some time after the start those that a kill has left, and later those that were more than could be remembered.</summary>
    private async Task SweepLoopAsync(CancellationToken cancellation)
    {
        await Task.Delay(Limits.SweepAfterStart, _time, cancellation);
        while (true)
        {
            if (FencedBy is null && await Task.Run(() => _collector.SweepGentlyAsync(cancellation), cancellation) is > 0 and var deleted)
                _logger.LogInformation("{Count} block files that nothing referred to have been deleted", deleted);
            do
                await Task.Delay(Limits.CollectInterval, _time, cancellation);
            while (!Pending.TakeOverflow());
        }
    }
}
