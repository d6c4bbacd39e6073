using OrleansFs.Engine.Native;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

/// <summary>
/// Says no in time: content is taken only where the disk under the data folder has room for all that is in flight, and a reserve for the metadata of deletions stays.
/// So a full disk is an ENOSPC before anything is promised, and deleting files makes the volume usable again.
/// </summary>
internal sealed class SpaceGuard(string folder, TimeProvider time, Func<long> inFlightBytes)
{
    private readonly Lock _lock = new();
    private DiskSpace _space;
    private long? _probed;

    /// <summary>The disk as it was at most <see cref="Limits.DiskProbe"/> ago.</summary>
    public DiskSpace Space
    {
        get
        {
            lock (_lock)
            {
                if (_probed is not { } at || time.GetElapsedTime(at) > Limits.DiskProbe)
                {
                    _space = DiskSpace.Of(folder);
                    _probed = time.GetTimestamp();
                }
                return _space;
            }
        }
    }

    /// <summary>Bytes that can still be taken.</summary>
    public long Room
    {
        get
        {
            var space = Space;
            long reserve = Math.Clamp(space.TotalBytes / 20, Limits.MinDiskReserve, Limits.MaxDiskReserve);
            return Math.Max(0, space.FreeBytes - reserve - inFlightBytes());
        }
    }

    public bool Admits(long bytes) => Room >= bytes;

    /// <summary>Looks anew next time: space was freed or taken.</summary>
    public void Forget()
    {
        lock (_lock)
            _probed = null;
    }
}
