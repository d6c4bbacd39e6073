using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;

namespace OrleansFs.Engine;

/// <summary>Says what is wrong with a disk without filling it: the first of a kind at once, then no more than one in a while, with how many there were.</summary>
internal sealed class TroubleLog(ILogger logger, TimeProvider time)
{
    private readonly Lock _lock = new();
    private long? _said;
    private long _unsaid;

    /// <summary>Something failed, and will be tried again.</summary>
    /// <param name="what">What it is, in a few words.</param>
    /// <param name="error">Why.</param>
    public void Tell(string what, Exception error)
    {
        long unsaid;
        lock (_lock)
        {
            if (_said is { } at && time.GetElapsedTime(at) < Limits.TroublePause)
            {
                _unsaid++;
                return;
            }
            _said = time.GetTimestamp();
            (unsaid, _unsaid) = (_unsaid, 0);
        }
        // What the disk answers is no news of the code; anything else may be a bug, and where it is counts.
        var bug = error is MetadataException or BlockStoreException ? null : error;
        logger.LogError(bug, "{What}: {Reason}{More}", what, error.Message, unsaid == 0 ? "" : $"; {unsaid} more like it since the last such line");
    }
}
