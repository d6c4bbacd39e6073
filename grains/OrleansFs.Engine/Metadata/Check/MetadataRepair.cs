using System.Globalization;
using System.Text;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>Repairs faults in a meta.db that nothing else has open, by SQL of its own.</summary>
/// <remarks>
/// Nothing that a user may still want is deleted: an inode that no name leads to goes to /lost+found, and so do blocks that no file has. What it does is not
/// in the journal: the
/// journal is emptied, so that every replica takes a full copy; so does a replica that was repaired, which is at no epoch any more.
/// </remarks>
internal sealed class MetadataRepair(Database database, int blockSize, Timestamp now)
{
    private static readonly byte[] s_lostAndFound = "lost+found"u8.ToArray();

    /// <summary>Begins a transaction.</summary>
    public void Begin() => database.Execute("BEGIN IMMEDIATE; DELETE FROM journal; UPDATE volume SET lsn = lsn + 1, epoch = CASE role WHEN 1 THEN 0 ELSE epoch END");

    public void Commit() => database.Execute("COMMIT");

    /// <returns>False for what cannot be repaired here.</returns>
    public bool Repair(MetadataFault fault)
    {
        switch (fault.Kind)
        {
            case MetadataFaultKind.DatabaseDamaged:
            case MetadataFaultKind.ManifestShared:
                return false;
            case MetadataFaultKind.RootMissing:
                Run("INSERT OR REPLACE INTO inode VALUES (1, 0x41ED, 2, 0, 0, 0, 0, ?1, ?1, ?1, ?1, 0, 0, 1, 1, 0, 0, NULL, NULL)", s => s.Bind(1, now));
                break;
            case MetadataFaultKind.DentryWithoutInode:
            case MetadataFaultKind.DentryWithoutDirectory:
            case MetadataFaultKind.DirectoryWithManyNames:
                Run("DELETE FROM dentry WHERE parent = ?1 AND name = ?2", s => s.Bind(1, fault.Inode!.Value).Bind(2, fault.Name!));
                break;
            case MetadataFaultKind.DentryTypeWrong:
                Run("UPDATE dentry SET type = ?3 WHERE parent = ?1 AND name = ?2", s => s.Bind(1, fault.Inode!.Value).Bind(2, fault.Name!).Bind(3, fault.Expected!.Value));
                break;
            case MetadataFaultKind.DirectoryUnreachable:
                Run("DELETE FROM dentry WHERE ino = ?1", s => s.Bind(1, fault.Inode!.Value));
                Rescue(fault.Inode!.Value);
                break;
            case MetadataFaultKind.InodeWithoutName:
                Rescue(fault.Inode!.Value);
                break;
            case MetadataFaultKind.ManifestWithoutInode:
                Adopt(fault.Manifest!.Value);
                break;
            case MetadataFaultKind.ManifestMalformed:
                RepairSegment(fault.Manifest!.Value, fault.Segment!.Value, fault.Expected!.Value);
                break;
            case MetadataFaultKind.ManifestBlockUnknown:
                Run("INSERT OR IGNORE INTO block VALUES (?1, ?2, 0, 0, ?3, 0, 0, 0, 0)", s => s.Bind(1, fault.Block!.Value).Bind(2, fault.Expected!.Value).Bind(3, now));
                break;
            case MetadataFaultKind.RecordsWithoutFile:
                Run("DELETE FROM record WHERE ino = ?1", s => s.Bind(1, fault.Inode!.Value));
                Run("DELETE FROM appender WHERE ino = ?1", s => s.Bind(1, fault.Inode!.Value));
                break;
            case MetadataFaultKind.RecordsMalformed:
                CutRecords(fault.Inode!.Value, fault.Site!.Value, fault.Expected!.Value);
                break;
            case MetadataFaultKind.AppenderWrong:
                Run("DELETE FROM appender WHERE ino = ?1 AND writer = ?2", s => s.Bind(1, fault.Inode!.Value).Bind(2, fault.Name!));
                break;
            case MetadataFaultKind.ComposedUnreadable:
            case MetadataFaultKind.ComposedWithoutBlock:
                Run("DELETE FROM composed_source WHERE hash = ?1", s => s.Bind(1, fault.Block!.Value));
                Run("DELETE FROM composed WHERE hash = ?1", s => s.Bind(1, fault.Block!.Value));
                break;
            case MetadataFaultKind.ComposedSourceAbsent:
                Run("UPDATE block SET residency = 1 WHERE hash = ?1 AND residency = 0", s => s.Bind(1, fault.Block!.Value));
                break;
            case MetadataFaultKind.ComposedSourcesWrong:
                NoteSources(fault.Block!.Value);
                break;
            case MetadataFaultKind.PinCountWrong:
                Run("UPDATE block SET pins = ?2 WHERE hash = ?1", s => s.Bind(1, fault.Block!.Value).Bind(2, fault.Expected!.Value));
                break;
            default:
                RepairNumber(fault);
                break;
        }
        return true;
    }

    private void RepairNumber(MetadataFault fault)
    {
        string sql = fault.Kind switch
        {
            MetadataFaultKind.DirectoryParentWrong => "UPDATE inode SET parent = ?2 WHERE ino = ?1",
            MetadataFaultKind.LinkCountWrong => "UPDATE inode SET nlink = ?2 WHERE ino = ?1",
            MetadataFaultKind.DirectorySizeWrong => "UPDATE inode SET size = ?2 WHERE ino = ?1",
            MetadataFaultKind.SegmentNodeWrong => "UPDATE manifest SET node = NULL WHERE manifest = ?1 AND segment = ?2",
            MetadataFaultKind.ContentHashWrong => "UPDATE inode SET hash = NULL WHERE ino = ?1",
            MetadataFaultKind.AllocationWrong => "UPDATE inode SET allocated = ?2 WHERE ino = ?1",
            MetadataFaultKind.XattrTotalWrong => "UPDATE inode SET xattr_bytes = ?2 WHERE ino = ?1",
            MetadataFaultKind.XattrWithoutInode => "DELETE FROM xattr WHERE ino = ?1",
            MetadataFaultKind.ReferenceCountWrong => "UPDATE block SET refs = ?2, last_use = max(last_use, ?3) WHERE hash = ?1",
            MetadataFaultKind.CounterWrong => $"UPDATE volume SET {Encoding.UTF8.GetString(fault.Name!)} = ?2",
            _ => throw new ArgumentException($"no repair is known for {fault.Kind}", nameof(fault)),
        };
        Run(sql, s =>
        {
            if (fault.Block is { } hash)
                s.Bind(1, hash).Bind(3, now);
            else if (fault.Segment is { } segment)
                s.Bind(1, fault.Manifest!.Value).Bind(2, segment);
            else if (fault.Inode is { } inode)
                s.Bind(1, inode);
            if (fault.Expected is { } expected)
                s.Bind(2, expected);
        });
    }

    /// <summary>Notes what a composed block is made of, as its program says; of a block that is none nothing.</summary>
    private void NoteSources(BlockHash hash)
    {
        Run("DELETE FROM composed_source WHERE hash = ?1", s => s.Bind(1, hash));
        using var s = database.Prepare("SELECT program FROM composed WHERE hash = ?1");
        if (!s.Bind(1, hash).Step())
            return;
        var program = Delta.DeltaProgram.TryRead(s.Blob(0));
        s.Reset();
        foreach (var source in program?.Sources ?? [])
            Run("INSERT OR IGNORE INTO composed_source VALUES (?1, ?2)", i => i.Bind(1, source.Hash!.Value).Bind(2, hash));
    }

    /// <summary>Gives an inode a name in /lost+found.</summary>
    private void Rescue(InodeNumber inode)
    {
        var home = LostAndFound();
        if (inode == home)
        {
            AddName(InodeNumber.Root, s_lostAndFound, home);
            Run("UPDATE inode SET parent = 1 WHERE ino = ?1", s => s.Bind(1, home));
            return;
        }
        AddName(home, Encoding.UTF8.GetBytes($"#{inode}"), inode);
        Run("UPDATE inode SET parent = ?2 WHERE ino = ?1 AND mode & 0xF000 = 0x4000", s => s.Bind(1, inode).Bind(2, home));
    }

    /// <summary>Makes a file of blocks that belong to none. Its length is that of its blocks: the real one is not known.</summary>
    private void Adopt(ulong manifest)
    {
        long last;
        using (var s = database.Prepare("SELECT max(segment * 256 + length(hashes) / 32) FROM manifest WHERE manifest = ?1"))
        {
            s.Bind(1, manifest).Step();
            last = s.Int64(0);
            s.Reset();
        }
        var inode = AddInode(Mode.S_IFREG | 0x180, 1, last * blockSize, default, manifest);
        AddName(LostAndFound(), Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"#{inode}")), inode);
    }

    private void RepairSegment(ulong manifest, long segment, long mapped)
    {
        byte[] hashes;
        using (var s = database.Prepare("SELECT hashes FROM manifest WHERE manifest = ?1 AND segment = ?2"))
        {
            if (!s.Bind(1, manifest).Bind(2, segment).Step())
                return;
            hashes = s.Blob(0).ToArray();
            s.Reset();
        }
        int count = Math.Min(hashes.Length / BlockHash.Size, MetadataLimits.SegmentBlocks);
        while (count > 0 && new BlockHash(hashes.AsSpan((count - 1) * BlockHash.Size, BlockHash.Size)).IsHole)
            count--;
        if (count == 0)
            Run("DELETE FROM manifest WHERE manifest = ?1 AND segment = ?2", s => s.Bind(1, manifest).Bind(2, segment));
        else
            Run("UPDATE manifest SET mapped = ?3, hashes = ?4, node = NULL WHERE manifest = ?1 AND segment = ?2", s => s.Bind(1, manifest).Bind(2, segment).Bind(3, mapped).Bind(4, hashes.AsSpan(0, count * BlockHash.Size)));
        Run("UPDATE inode SET hash = NULL WHERE manifest = ?1", s => s.Bind(1, manifest));
    }

    /// <summary>Keeps the first records of a segment, and what their writers have named.</summary>
    private void CutRecords(InodeNumber inode, ushort site, long keep)
    {
        long chunk = keep / RecordChunk.Records;
        int within = (int)(keep % RecordChunk.Records);
        Run("DELETE FROM record WHERE ino = ?1 AND site = ?2 AND chunk >= ?3", s => s.Bind(1, inode).Bind(2, (long)site).Bind(3, within == 0 ? chunk : chunk + 1));
        Run("DELETE FROM appender WHERE ino = ?1 AND site = ?2 AND sequence >= ?3", s => s.Bind(1, inode).Bind(2, (long)site).Bind(3, keep));
        if (within == 0)
            return;
        byte[] entries;
        using (var s = database.Prepare("SELECT entries FROM record WHERE ino = ?1 AND site = ?2 AND chunk = ?3"))
        {
            if (!s.Bind(1, inode).Bind(2, (long)site).Bind(3, chunk).Step())
                return;
            entries = RecordChunk.FirstOf(s.Blob(0), within).ToArray();
            s.Reset();
        }
        Run("UPDATE record SET count = ?4, entries = ?5 WHERE ino = ?1 AND site = ?2 AND chunk = ?3", s => s.Bind(1, inode).Bind(2, (long)site).Bind(3, chunk).Bind(4, (long)within).Bind(5, entries));
    }

    private InodeNumber LostAndFound()
    {
        using (var s = database.Prepare("SELECT d.ino FROM dentry d JOIN inode i ON i.ino = d.ino WHERE d.parent = 1 AND d.name = ?1 AND i.mode & 0xF000 = 0x4000"))
        {
            if (s.Bind(1, s_lostAndFound).Step())
            {
                var found = s.Inode(0);
                s.Reset();
                return found;
            }
        }
        var made = AddInode(Mode.S_IFDIR | 0x1C0, 2, 0, InodeNumber.Root, null);
        AddName(InodeNumber.Root, s_lostAndFound, made);
        return made;
    }

    private InodeNumber AddInode(uint mode, uint links, long size, InodeNumber parent, ulong? manifest)
    {
        // Above every number in use, whatever the volume's row says: that is checked last.
        var inode = new InodeNumber((ulong)database.Scalar("SELECT max((SELECT next_inode FROM volume), (SELECT coalesce(max(ino), 1) + 1 FROM inode))"));
        Run("UPDATE volume SET next_inode = ?1 + 1", s => s.Bind(1, inode));
        Run("INSERT INTO inode VALUES (?1, ?2, ?3, 0, 0, ?4, 0, ?5, ?5, ?5, ?5, 0, 0, ?6, ?7, 0, 0, NULL, NULL)",
            s => s.Bind(1, inode).Bind(2, (long)mode).Bind(3, (long)links).Bind(4, size).Bind(5, now).Bind(6, parent).Bind(7, manifest ?? inode.Value));
        return inode;
    }

    private void AddName(InodeNumber parent, byte[] name, InodeNumber inode)
    {
        Run("UPDATE volume SET next_cookie = max(next_cookie, (SELECT coalesce(max(cookie), 0) + 1 FROM dentry)) + 1", _ => { });
        // A name that is taken, by what a repair before left there, gets a suffix.
        for (int suffix = 0; ; suffix++)
        {
            byte[] candidate = suffix == 0 ? name : [.. name, .. Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $".{suffix}"))];
            using var taken = database.Prepare("SELECT 1 FROM dentry WHERE parent = ?1 AND name = ?2");
            if (taken.Bind(1, parent).Bind(2, candidate).Step())
                continue;
            Run("INSERT INTO dentry SELECT ?1, ?2, (SELECT next_cookie - 1 FROM volume), ino, (mode & 0xF000) >> 12 FROM inode WHERE ino = ?3",
                s => s.Bind(1, parent).Bind(2, candidate).Bind(3, inode));
            return;
        }
    }

    private void Run(string sql, Action<Statement> bind)
    {
        using var statement = database.Prepare(sql);
        bind(statement);
        statement.Run();
    }
}
