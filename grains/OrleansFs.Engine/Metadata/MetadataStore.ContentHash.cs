using OrleansFs.Engine.Blocks;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>The content hash of a file, out of its manifest. See <see cref="ContentHashBuilder"/> for what it is.</content>
internal sealed partial class MetadataStore
{
    /// <summary>
    /// The content hash of a file as it is committed: what is in flight does not count. Null for an inode that is gone or no regular file. A large one is read a step at a time, the lock free in between, and anew
    /// where it has changed meanwhile; one that changes all the time is read under the lock at last.
    /// </summary>
    /// <exception cref="MetadataException">The manifest cannot be read.</exception>
    public BlockHash? ContentHash(InodeNumber inode)
    {
        for (int attempt = 0; attempt < MetadataLimits.HashAttempts; attempt++)
        {
            if (TryHash(inode, out var hashed, out bool isFile))
                return hashed.Hash;
            if (!isFile)
                return null;
        }
        lock (Lock)
        {
            Sweep();
            return Find(inode) is { } found && found.Snapshot().IsRegular ? HashOf(found.Manifest, found.Committed.Size, int.MaxValue) : null;
        }
    }

    /// <summary>Computes content hashes that are not known, of so many files at most.</summary>
    /// <returns>How many are known now; 0 where nothing is left to do.</returns>
    public int HashUnhashed(int max)
    {
        List<InodeNumber> unhashed;
        lock (Lock)
        {
            if (Enter() is not Errno.None)
                return 0;
            try
            {
                unhashed = Unhashed(max);
            }
            catch (Exception e)
            {
                Undo(e);
                return 0;
            }
        }
        int done = 0;
        foreach (var inode in unhashed)
        {
            // A dirty one has its row written, with its hash, at the commit.
            if (TryHash(inode, out var hashed, out _) && KeepHash(hashed))
                done++;
        }
        return done;
    }

    /// <summary>Writes a hash into the row of its file, where that has not changed since.</summary>
    private bool KeepHash(in Hashed hashed)
    {
        lock (Lock)
        {
            if (Enter() is not Errno.None)
                return false;
            try
            {
                if (RefusesOwn?.Invoke() == true || !IsAsHashed(hashed) || hashed.Inode is not { AttributesDirty: false, HashVoid: false, IsNew: false })
                    return false;
                var s = _sql.GetInode.Bind(1, hashed.Inode.Number);
                if (!s.Step())
                    return false;
                var row = ReadRow(s);
                s.Reset();
                Execute(row with { HashChanged = true, Hash = hashed.Hash });
                Done();
                return true;
            }
            catch (Exception e)
            {
                Undo(e);
                return false;
            }
        }
    }

    /// <summary>Computes the hash of a file as it is at one moment, with the lock held for no more than a step.</summary>
    /// <param name="number">The file.</param>
    /// <param name="hashed">The hash, and of what state.</param>
    /// <param name="isFile">False for an inode that is gone or no regular file.</param>
    /// <returns>False too where it has changed meanwhile, or its manifest is malformed.</returns>
    /// <exception cref="MetadataException">The manifest cannot be read.</exception>
    private bool TryHash(InodeNumber number, out Hashed hashed, out bool isFile)
    {
        ManifestHasher hasher;
        lock (Lock)
        {
            Sweep();
            hashed = default;
            isFile = Find(number) is { IsGone: false } found && found.Snapshot().IsRegular;
            if (!isFile)
                return false;
            var inode = Find(number)!;
            hashed = new Hashed(inode, inode.Manifest, inode.Committed.Size, inode.Changed, default);
            if (hashed.Size <= (long)Volume.BlockSize * MetadataLimits.SegmentBlocks)
            {
                var small = HashOf(hashed.Manifest, hashed.Size);
                hashed = hashed with { Hash = small.GetValueOrDefault() };
                return small is not null;
            }
            hasher = new ManifestHasher(hashed.Size, Volume.BlockSize);
        }
        for (int rows = MetadataLimits.HashStep; rows == MetadataLimits.HashStep;)
        {
            lock (Lock)
            {
                if (!IsAsHashed(hashed))
                    return false;
                RequireReady();
                var s = _sql.HashSegments.Bind(1, hashed.Manifest).Bind(2, hasher.Next).Bind(3, (long)MetadataLimits.HashStep);
                try
                {
                    for (rows = 0; s.Step(); rows++)
                    {
                        if (!hasher.TryAppend(s))
                            return false;
                    }
                }
                finally
                {
                    s.Reset();
                }
            }
        }
        hashed = hashed with { Hash = hasher.Finish() };
        return true;
    }

    /// <summary>Whether a file is as it was when its hash was begun: the same object, and no mutation of it since.</summary>
    private bool IsAsHashed(in Hashed hashed) =>
        Find(hashed.Inode.Number) is { IsGone: false } inode && ReferenceEquals(inode, hashed.Inode) && inode.Manifest == hashed.Manifest && inode.Committed.Size == hashed.Size && inode.Changed == hashed.Changed;

    private readonly record struct Hashed(Inode Inode, ulong Manifest, long Size, long Changed, BlockHash Hash);

    /// <returns>Null where the manifest has more rows than the limit, or blocks past the size.</returns>
    private BlockHash? HashOf(ulong manifest, long size, int limit = MetadataLimits.HashedSegments)
    {
        int blockSize = Volume.BlockSize;
        if (size > (long)blockSize * MetadataLimits.SegmentBlocks)
            return ManifestHash.Compute(_sql.HashSegments, manifest, size, blockSize, limit);
        var segment = Segment(manifest, 0);
        return segment.Length > ManifestHash.BlocksOf(size, blockSize) * BlockHash.Size ? null : ManifestHash.OfOneSegment(segment, size, blockSize);
    }

    private static Statement BindNode(Statement s, long segment, ReadOnlySpan<byte> hashes) =>
        ManifestHash.KeepsNode(segment, hashes) ? s.Bind(5, ManifestHash.NodeOf(hashes)) : s.BindNull(5);
}
