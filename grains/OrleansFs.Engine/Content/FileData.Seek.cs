using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

internal sealed partial class FileData
{
    /// <summary>SEEK_DATA and SEEK_HOLE, to the block: an in-flight block counts as data as a whole.</summary>
    public FsResult<long> Seek(InodeNumber number, long offset, SeekKind kind)
    {
        var found = RequireRegular(_metadata.Acquire(number));
        if (!found.TryGet(out var inode, out var error))
            return error;
        try
        {
            lock (inode.Gate)
            {
                long size = inode.Snapshot().Size;
                if (offset < 0 || offset >= size)
                    return Errno.ENXIO;
                long? block = kind == SeekKind.Data ? NextData(inode, offset / _blockSize) : NextHole(inode, offset / _blockSize, BlocksOf(size));
                if (kind == SeekKind.Hole)
                    return block is { } hole && hole < BlocksOf(size) ? Math.Max(offset, hole * _blockSize) : size;
                return block is { } data && data < BlocksOf(size) ? Math.Max(offset, data * _blockSize) : Errno.ENXIO;
            }
        }
        finally
        {
            _metadata.Release(inode);
        }
    }

    private static bool IsData(Slot slot) => slot.Top is not null || slot.Frozen is not null || !slot.Base.IsHole;

    private long? NextData(Inode inode, long from)
    {
        long? inFlight = null;
        foreach (var (index, slot) in inode.Content?.Slots ?? new Dictionary<long, Slot>())
        {
            if (index >= from && IsData(slot) && (inFlight is null || index < inFlight))
                inFlight = index;
        }
        long? mapped = _metadata.NextMapped(inode.Number, from);
        while (mapped is { } block && (inFlight is null || block < inFlight))
        {
            if (inode.Content is not { } content)
                return block;
            if (content.TruncatedTo is { } cut && block >= cut)
                return inFlight;
            var punched = content.Punched.FirstOrDefault(p => p.Contains(block));
            if (punched.Count == 0 && (content.Find(block) is not { } slot || IsData(slot)))
                return block;
            mapped = _metadata.NextMapped(inode.Number, punched.Count == 0 ? block + 1 : punched.End);
        }
        return inFlight;
    }

    private long? NextHole(Inode inode, long from, long end)
    {
        var content = inode.Content;
        long[]? marks = null;
        int next = 0;
        long? unmapped = null;
        for (long block = from; block < end;)
        {
            if (content?.Find(block) is { } slot)
            {
                if (!IsData(slot))
                    return block;
                block++;
                continue;
            }
            if (content?.ManifestCounts(block) == false)
                return block;
            if (unmapped is not { } hole || hole < block)
                unmapped = hole = _metadata.NextUnmapped(inode.Number, block);
            if (hole == block)
                return block;
            // Up to there the manifest has no hole: what may have one before is what is in flight.
            marks ??= content?.Marks(from) ?? [];
            while (next < marks.Length && marks[next] <= block)
                next++;
            block = next < marks.Length ? Math.Min(hole, marks[next]) : hole;
        }
        return null;
    }
}
