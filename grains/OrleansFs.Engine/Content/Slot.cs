using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

/// <summary>
/// One block of a file that is not, or not only, what the committed manifest says: in layers, the newest on top.
/// </summary>
/// <remarks>
/// <code>
///     Top        extents written since the last freeze; writers change it
///     Frozen     extents that a seal worker is hashing; nobody changes it. Only its bytes below FrozenLimit count
///     Base       a stored block or a hole. Only its bytes below Limit count: what lies at or past it has been cut off
/// </code>
/// Invariants: guarded by the file's gate; a block that no slot speaks of is what the committed manifest says, as far as it has not been truncated or punched since.
/// A Frozen whose seal failed stays, with <see cref="Sealing"/> false, until another seal takes it up.
/// </remarks>
internal sealed class Slot(SealedBlock @base, int limit)
{
    public InFlightBlock? Top { get; set; }

    public InFlightBlock? Frozen { get; set; }

    public SealedBlock Base { get; set; } = @base;

    /// <summary>Bytes of Base that count, 0 to S.</summary>
    public int Limit { get; set; } = limit;

    /// <summary>Bytes of Frozen that count, 0 to S.</summary>
    public int FrozenLimit { get; set; } = limit;

    /// <summary>A seal worker has Frozen in hand.</summary>
    public bool Sealing { get; set; }

    /// <summary>Base is newer than the committed manifest and belongs into the next commit. A pin on its hash is held until then.</summary>
    public bool Uncommitted { get; set; }

    /// <summary>The stored form does not fit any more (cut off, or no longer the last block and so to be filled up with zeros): it has to be hashed anew even where nothing was written.</summary>
    public bool Reseal { get; set; }

    /// <summary>Whether every byte of a range is in layers that no seal worker has in hand: the redo log can carry it from there.</summary>
    public bool IsAtHand(int start, int end)
    {
        if (Top is { } top && top.Covers(start, end))
            return true;
        if (Frozen is null || Sealing)
            return false;
        for (int at = start; at < end;)
        {
            int known = Math.Max(Top?.KnownUpTo(at) ?? 0, Math.Min(Frozen.KnownUpTo(at), FrozenLimit));
            if (known <= at)
                return false;
            at = known;
        }
        return true;
    }

    /// <summary>Copies a range that <see cref="IsAtHand"/>.</summary>
    public void CopyTo(int offset, Span<byte> destination)
    {
        if (Frozen is { } frozen && !Sealing && offset < FrozenLimit)
            frozen.CopyTo(offset, destination[..Math.Min(destination.Length, FrozenLimit - offset)]);
        Top?.CopyTo(offset, destination);
    }

    public bool NeedsSeal => Top is not null || Reseal || (Frozen is not null && !Sealing);
}

/// <summary>A block that is stored, or a hole.</summary>
/// <param name="Hash">Its name; <see cref="BlockHash.Hole"/> for a hole.</param>
/// <param name="Length">Bytes of content, 1 to S; 0 for a hole.</param>
/// <param name="WeakChecksum">Rolling checksum of the content.</param>
/// <param name="StoredBytes">Bytes on disk; 0 where the block was there already.</param>
/// <param name="WriteSequence">When its file was written, for what has to be synced before a transaction that names it; 0 where it was there already.</param>
internal readonly record struct SealedBlock(BlockHash Hash, int Length, ulong WeakChecksum, long StoredBytes, long WriteSequence)
{
    public static SealedBlock Hole => default;

    public bool IsHole => Hash.IsHole;
}
