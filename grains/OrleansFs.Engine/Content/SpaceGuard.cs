using OrleansFs.Engine.Native;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

/// <summary>
/// Says no in time: content is taken only where the disk under the data folder has room for all that is in flight, and a reserve stays.
/// So a full disk is an ENOSPC before anything is promised, and deleting files makes the volume usable again.
/// </summary>
/// <remarks>
/// <para>How much a block in flight will take is not known before it is sealed: four bytes of memory may become a block of S bytes, and a small file takes a cluster, folders and rows. So each counts as a whole
/// block, and who is refused settles what is in flight and asks again: then what is known is what is there.</para>
/// <para>The reserve has two halves. The first is for what was underestimated, and for writers that were admitted at the same time. The second is for the metadata alone, which cannot remove a name where it
/// cannot write; blocks are never stored in it. Where blocks can be evicted, they leave before writers meet the first.</para>
/// </remarks>
/// <param name="folder">The data folder.</param>
/// <param name="time">For the age of what is known of the disk.</param>
/// <param name="pool">Knows what is in flight.</param>
/// <param name="blockSize">S, bytes.</param>
internal sealed class SpaceGuard(string folder, TimeProvider time, PagePool pool, int blockSize)
{
    private readonly Lock _lock = new();

    /// <summary>The bound on block files; null where the disk is the only one.</summary>
    public CacheBound? Cache { get; set; }

    /// <summary>What can be had back at once of what is on the disk, bytes; null where that is nothing.</summary>
    public Func<long>? Spare { get; set; }

    /// <summary>Told that the disk has little room: what is <see cref="Spare"/> is to be given back.</summary>
    public Action? Scarce { get; set; }

    private DiskSpace _space;
    private long? _probed;

    /// <summary>The disk as it is, or where there is plenty of room as it was at most <see cref="Limits.DiskProbe"/> ago.</summary>
    public DiskSpace Space
    {
        get
        {
            var space = Probe();
            if (space.FreeBytes >= Limits.DiskProbeAlways || Spare is null || Spare() == 0)
                return space;
            Scarce?.Invoke();
            return Probe();
        }
    }

    private DiskSpace Probe()
    {
        lock (_lock)
        {
            if (_probed is not { } at || _space.FreeBytes < Limits.DiskProbeAlways || time.GetElapsedTime(at) > Limits.DiskProbe)
            {
                _space = DiskSpace.Of(folder);
                _probed = time.GetTimestamp();
            }
            return _space;
        }
    }

    /// <summary>Bytes that can still be taken, as statfs(2) tells them: what is in flight counted as it lies in memory.</summary>
    public long Room => RoomAfter(0);

    /// <summary>The same, after so many bytes of dead blocks have been collected: which happens when they are asked for.</summary>
    public long RoomAfter(long collected)
    {
        var space = Space;
        return Math.Max(0, space.FreeBytes + (Spare?.Invoke() ?? 0) + collected - Reserve(space) - pool.BytesInUse);
    }

    /// <summary>Blocks that can still be stored, as far as the disk has files and folders for them.</summary>
    public long RoomForBlocks => Math.Max(0, Space.FreeInodes - Limits.InodeReserve) / Limits.BlockInodes;

    /// <summary>What is dead is worth its room now, and not after its grace.</summary>
    public bool IsShort => Room < Space.TotalBytes / 20 || RoomForBlocks < Limits.FewBlocks;

    public bool Admits(long bytes) => Room >= bytes;

    /// <summary>Whether a write of so many bytes at any place may be taken.</summary>
    public bool AdmitsContent(long bytes)
    {
        if (Cache is { } cache && !cache.Admits(bytes))
            return false;
        var space = Space;
        long blocks = pool.Blocks + bytes / blockSize + 2;
        return space.FreeBytes - Reserve(space) >= blocks * (blockSize + Limits.BlockOverhead) && space.FreeInodes - Limits.InodeReserve >= blocks * Limits.BlockInodes;
    }

    /// <summary>Whether a block that was taken before may be stored now.</summary>
    public bool AdmitsBlock(long bytes)
    {
        var space = Space;
        return space.FreeBytes - bytes - Limits.BlockOverhead >= Reserve(space) / 2 && space.FreeInodes - Limits.BlockInodes >= Limits.InodeReserve / 2;
    }

    /// <summary>Blocks that others have are to leave the disk: writers are about to find no room.</summary>
    public bool IsScarce
    {
        get
        {
            var space = Space;
            return Left(space) < Headroom(space);
        }
    }

    /// <summary>What has to leave the disk so that writers find room for a while, bytes; 0 and less where nothing has.</summary>
    public long Shortage
    {
        get
        {
            var space = Space;
            return (2 * Headroom(space)) - Left(space);
        }
    }

    private long Left(in DiskSpace space) => space.FreeBytes + (Spare?.Invoke() ?? 0) - Reserve(space) - pool.BytesInUse;

    /// <summary>Room for some writers at a time, each with blocks that it reaches into.</summary>
    private long Headroom(in DiskSpace space) => Math.Max(Reserve(space) / 2, (2 * Limits.WriteStep) + (4 * (blockSize + Limits.BlockOverhead)));

    private static long Reserve(in DiskSpace space) => Math.Clamp(space.TotalBytes / Limits.DiskReserveShare, Limits.MinDiskReserve, Limits.MaxDiskReserve);

    /// <summary>Looks anew next time: space was freed or taken.</summary>
    public void Forget()
    {
        lock (_lock)
            _probed = null;
    }
}
