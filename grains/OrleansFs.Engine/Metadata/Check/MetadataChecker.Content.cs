using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>Manifests, blocks and the counts derived from them.</content>
internal sealed partial class MetadataChecker
{
    private IEnumerable<MetadataFault> CheckContent()
    {
        _database.Execute(
            """
            CREATE TABLE scratch.owner (manifest INTEGER PRIMARY KEY, ino INTEGER NOT NULL, size INTEGER NOT NULL);
            INSERT OR IGNORE INTO scratch.owner SELECT manifest, ino, size FROM inode WHERE mode & 0xF000 = 0x8000;
            CREATE TABLE scratch.mapped (manifest INTEGER PRIMARY KEY, bytes INTEGER NOT NULL);
            CREATE TABLE scratch.used (hash BLOB NOT NULL);
            """);
        const string Shared = "SELECT manifest, count(*), min(ino) FROM inode WHERE mode & 0xF000 = 0x8000 GROUP BY manifest HAVING count(*) > 1";
        foreach (var fault in Each("manifests", Shared, SharedFault))
            yield return fault;
        foreach (var fault in CheckSegments())
            yield return fault;
        const string Ownerless = "SELECT m.manifest, m.bytes FROM scratch.mapped m LEFT JOIN scratch.owner o ON o.manifest = m.manifest WHERE o.manifest IS NULL";
        foreach (var fault in Each("manifests", Ownerless, OwnerlessFault))
            yield return fault;
        const string Allocated =
            """
            SELECT i.ino, i.allocated, coalesce(m.bytes, 0) FROM inode i LEFT JOIN scratch.mapped m ON m.manifest = i.manifest AND i.mode & 0xF000 = 0x8000
            WHERE i.allocated <> coalesce(m.bytes, 0)
            """;
        foreach (var fault in Each("allocation", Allocated, AllocationFault))
            yield return fault;
        foreach (var fault in CheckReferences())
            yield return fault;
        foreach (var fault in CheckContentHashes())
            yield return fault;
        foreach (var fault in CheckComposed())
            yield return fault;
    }

    private static MetadataFault SharedFault(Statement s) =>
        new(MetadataFaultKind.ManifestShared, $"{s.Int64(1)} files have manifest {s.Inode(0)}, one of them inode {s.Inode(2)}") { Manifest = s.Inode(0).Value, Inode = s.Inode(2) };

    private static MetadataFault OwnerlessFault(Statement s) =>
        new(MetadataFaultKind.ManifestWithoutInode, $"manifest {s.Inode(0)} with {s.Int64(1)} bytes of blocks belongs to no file") { Manifest = s.Inode(0).Value };

    private static MetadataFault AllocationFault(Statement s) =>
        new(MetadataFaultKind.AllocationWrong, $"the blocks of inode {s.Inode(0)} are {s.Int64(2)} bytes, not {s.Int64(1)}") { Inode = s.Inode(0), Expected = s.Int64(2) };

    /// <summary>Goes through all segments, and notes each hash for <see cref="CheckReferences"/>.</summary>
    private IEnumerable<MetadataFault> CheckSegments()
    {
        long total = _database.Scalar("SELECT count(*) FROM manifest"), done = 0, bytes = 0;
        ulong? current = null;
        using var length = _database.Prepare("SELECT length FROM block WHERE hash = ?1");
        using var use = _database.Prepare("INSERT INTO scratch.used VALUES (?1)");
        using var map = _database.Prepare("INSERT OR REPLACE INTO scratch.mapped VALUES (?1, ?2)");
        using var s = _database.Prepare("SELECT manifest, segment, mapped, hashes, node FROM manifest ORDER BY manifest, segment");
        while (s.Step())
        {
            var (manifest, segment, mapped) = (s.Inode(0).Value, s.Int64(1), s.Int64(2));
            byte[] hashes = s.Blob(3).ToArray();
            if (current is { } before && before != manifest)
            {
                map.Bind(1, before).Bind(2, bytes).Run();
                bytes = 0;
            }
            current = manifest;
            var unknown = new List<MetadataFault>();
            long sum = SumSegment(manifest, segment, hashes, length, use, unknown);
            foreach (var fault in unknown)
                yield return fault;
            if (!IsWellFormed(hashes) || sum != mapped && unknown.Count == 0)
            {
                yield return new MetadataFault(MetadataFaultKind.ManifestMalformed, $"segment {segment} of manifest {manifest} has {hashes.Length} bytes of hashes and says {mapped} bytes of blocks, not {sum}")
                {
                    Manifest = manifest,
                    Segment = segment,
                    Expected = sum,
                };
            }
            else if (!s.IsNull(4) && s.Hash(4) != ManifestHash.NodeOf(hashes))
            {
                yield return new MetadataFault(MetadataFaultKind.SegmentNodeWrong, $"segment {segment} of manifest {manifest} has another node in the content hash than its hashes make") { Manifest = manifest, Segment = segment };
            }
            bytes += sum;
            if (++done % ReportRows == 0)
                Report("manifests", done, total);
        }
        if (current is { } last)
            map.Bind(1, last).Bind(2, bytes).Run();
    }

    private long SumSegment(ulong manifest, long segment, ReadOnlySpan<byte> hashes, Statement length, Statement use, List<MetadataFault> unknown)
    {
        long sum = 0;
        int count = Math.Min(hashes.Length / BlockHash.Size, MetadataLimits.SegmentBlocks);
        for (int i = 0; i < count; i++)
        {
            var hash = new BlockHash(hashes.Slice(i * BlockHash.Size, BlockHash.Size));
            if (hash.IsHole)
                continue;
            use.Bind(1, hash).Run();
            if (length.Bind(1, hash).Step())
            {
                sum += length.Int64(0);
                length.Reset();
                continue;
            }
            unknown.Add(UnknownBlock(manifest, segment * MetadataLimits.SegmentBlocks + i, hash));
        }
        return sum;
    }

    private MetadataFault UnknownBlock(ulong manifest, long index, BlockHash hash)
    {
        using var owner = _database.Prepare("SELECT ino, size FROM scratch.owner WHERE manifest = ?1");
        bool owned = owner.Bind(1, manifest).Step();
        InodeNumber? inode = owned ? owner.Inode(0) : null;
        long length = owned ? Math.Clamp(owner.Int64(1) - index * _blockSize, 1, _blockSize) : _blockSize;
        owner.Reset();
        return new MetadataFault(MetadataFaultKind.ManifestBlockUnknown, $"block {index} of manifest {manifest} (inode {inode?.ToString() ?? "unknown"}) is {hash}, which has no row")
        {
            Manifest = manifest,
            Inode = inode,
            Block = hash,
            Expected = length,
        };
    }

    /// <summary>Whole hashes, no more than a segment's, and the last of them no hole.</summary>
    private static bool IsWellFormed(ReadOnlySpan<byte> hashes) =>
        hashes.Length is > 0 and <= MetadataLimits.SegmentBlocks * BlockHash.Size && hashes.Length % BlockHash.Size == 0 && hashes[^BlockHash.Size..].ContainsAnyExcept((byte)0);

    /// <summary>Computes the content hash of each file that says one. The nodes that it uses have been looked at with the segments.</summary>
    private IEnumerable<MetadataFault> CheckContentHashes()
    {
        long total = _database.Scalar("SELECT count(*) FROM inode WHERE hash IS NOT NULL"), done = 0;
        using var segments = _database.Prepare("SELECT segment, node, hashes FROM manifest WHERE manifest = ?1 AND segment >= ?2 ORDER BY segment LIMIT ?3");
        using var s = _database.Prepare("SELECT ino, manifest, size, hash FROM inode WHERE hash IS NOT NULL AND mode & 0xF000 = 0x8000");
        while (s.Step())
        {
            if (ManifestHash.Compute(segments, s.Inode(1).Value, s.Int64(2), _blockSize, int.MaxValue) != s.Hash(3))
                yield return new MetadataFault(MetadataFaultKind.ContentHashWrong, $"inode {s.Inode(0)} says another content hash than its blocks make") { Inode = s.Inode(0) };
            if (++done % ReportRows == 0)
                Report("content hashes", done, total);
        }
    }

    /// <summary>Counts the uses of each hash, by sorting them, and goes through them and the blocks side by side.</summary>
    private IEnumerable<MetadataFault> CheckReferences()
    {
        long total = _database.Scalar("SELECT count(*) FROM block"), done = 0;
        using var blocks = _database.Prepare("SELECT hash, refs FROM block ORDER BY hash");
        using var uses = _database.Prepare("SELECT hash, count(*) FROM scratch.used GROUP BY hash ORDER BY hash");
        bool more = uses.Step();
        while (blocks.Step())
        {
            var hash = blocks.Hash(0);
            // Hashes without a block have been told of already.
            while (more && uses.Hash(0).CompareTo(hash) < 0)
                more = uses.Step();
            long used = more && uses.Hash(0) == hash ? uses.Int64(1) : 0;
            if (used != blocks.Int64(1))
            {
                yield return new MetadataFault(MetadataFaultKind.ReferenceCountWrong, $"block {hash} has reference count {blocks.Int64(1)}, it should be {used}") { Block = hash, Expected = used };
            }
            if (++done % ReportRows == 0)
                Report("blocks", done, total);
        }
        uses.Reset();
    }
}
