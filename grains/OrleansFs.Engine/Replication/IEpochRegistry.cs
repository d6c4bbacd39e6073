using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>
/// What a place that all copies of a volume can ask knows of its epochs, whether those that began them are there or away. A replica that is to become the master asks it: the other copies that it can reach may know of no
/// master since their own.
/// </summary>
public interface IEpochRegistry
{
    /// <summary>The newest epoch that has begun.</summary>
    /// <exception cref="VolumeException">It cannot be asked now: why, in one line.</exception>
    Task<Epoch> FindNewestAsync(CancellationToken cancellation);

    /// <summary>Has an epoch for this copy alone. It fences nobody, and need not begin.</summary>
    /// <returns>False where it, or a later one, is another copy's.</returns>
    /// <exception cref="VolumeException">It cannot be asked now: why, in one line.</exception>
    Task<bool> TryReserveAsync(Epoch epoch, CancellationToken cancellation);
}

/// <summary>Nobody can say whether another copy has become the master: why, in one line.</summary>
public sealed class RegistryAwayException(string message, Exception? inner = null) : VolumeException(message, inner);
