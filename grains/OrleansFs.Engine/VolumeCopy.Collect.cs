using OrleansFs.Engine.Check;

namespace OrleansFs.Engine;

public sealed partial class VolumeCopy
{
    /// <summary>Deletes blocks that nothing refers to and files that nothing knows.</summary>
    /// <param name="grace">How long they have to have been unused. Zero is safe: what is about to be used is known.</param>
    /// <param name="dryRun">Delete nothing, count only.</param>
    /// <param name="progress">Told what has been done so far.</param>
    /// <param name="cancellation">Stops between steps.</param>
    public Task<CollectionReport> CollectAsync(TimeSpan grace, bool dryRun, IProgress<CollectionReport>? progress, CancellationToken cancellation) =>
        _collector.CollectAsync(grace, sweep: true, dryRun, progress, cancellation);

    /// <summary>Collects what has been dead for the grace period; at once where the disk is short of room.</summary>
    private async Task CollectLoopAsync(CancellationToken cancellation)
    {
        while (true)
        {
            await Task.Delay(Limits.CollectTick, _time, cancellation);
            bool isShort = _space.Room < _space.Space.TotalBytes / 20;
            bool due = _time.GetElapsedTime(_lastCollection) >= Limits.CollectInterval;
            if (_metadata.Counters.DeadBlocks == 0 || (!isShort && !due))
                continue;
            _lastCollection = _time.GetTimestamp();
            await _collector.CollectAsync(isShort ? TimeSpan.Zero : _options.CollectGrace, sweep: false, dryRun: false, progress: null, cancellation);
            if (isShort)
                _space.Forget();
        }
    }
}
