using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

public sealed class CheckTests : IDisposable
{
    private const int S = TestVolume.BlockSize;
    private static readonly Guid s_writer = Guid.Parse("b4e6f1ce-9d0f-4f0c-8a4a-7a2b1d6e3c05");
    private readonly TestVolume _volume = new();
    private readonly InodeNumber _directory, _inner, _file, _linked, _log;

    public CheckTests()
    {
        _directory = Store.MakeDirectory(InodeNumber.Root, "d").Inode;
        _inner = Store.MakeDirectory(_directory, "inner").Inode;
        _file = Store.Create(_inner, "file").Inode;
        _linked = Store.Create(_directory, "linked").Inode;
        Store.Link(_linked, InodeNumber.Root, "again");
        Store.SetXattr(_file, "user.a"u8, [1, 2, 3], XattrFlags.None);
        Fill(_file, "x", "y", "x");
        Fill(_linked, "y", "z");
        Store.Create(InodeNumber.Root, "l".Bytes(), new NewInode { Mode = Mode.S_IFLNK, SymlinkTarget = "d".Bytes() }, TestVolume.Root);
        var gone = Store.Create(InodeNumber.Root, "gone").Inode;
        Fill(gone, "q");
        Store.Unlink(InodeNumber.Root, "gone");
        Store.PurgeOrphan(gone);
        Store.Create(InodeNumber.Root, "orphan");
        Store.Unlink(InodeNumber.Root, "orphan");
        _log = Store.Create(InodeNumber.Root, "log").Inode;
        Store.Set(_log, new AttributeChange { Mask = AttributeMask.Flags, Flags = InodeFlags.AppendOnly });
        for (int i = 0; i < 300; i++)
            Append(i);
        _volume.Commit();
    }

    private MetadataStore Store => _volume.Store;

    public void Dispose() => _volume.Dispose();

    [Fact]
    public void A_sound_volume_has_no_faults()
    {
        Assert.Empty(Faults());
        Assert.False(File.Exists(_volume.Database + "-check"));
        var steps = new List<string>();
        Assert.Empty(Store.Check(new Now<CheckProgress>(p => steps.Add(p.Step)), CancellationToken.None));
        Assert.Contains("manifests", steps);
    }

    [Theory]
    [InlineData("DELETE FROM inode WHERE ino = 4", nameof(MetadataFaultKind.DentryWithoutInode))]
    [InlineData("DELETE FROM inode WHERE ino = 3", nameof(MetadataFaultKind.DentryWithoutDirectory))]
    [InlineData("UPDATE dentry SET parent = 4 WHERE name = CAST('linked' AS BLOB)", nameof(MetadataFaultKind.DentryWithoutDirectory))]
    [InlineData("UPDATE dentry SET type = 4 WHERE ino = 4", nameof(MetadataFaultKind.DentryTypeWrong))]
    [InlineData("DELETE FROM dentry WHERE ino = 4", nameof(MetadataFaultKind.InodeWithoutName))]
    [InlineData("DELETE FROM dentry WHERE ino = 3", nameof(MetadataFaultKind.InodeWithoutName))]
    [InlineData("DELETE FROM dentry WHERE ino = 5 AND parent = 1", nameof(MetadataFaultKind.LinkCountWrong))]
    [InlineData("UPDATE inode SET nlink = 9 WHERE ino = 2", nameof(MetadataFaultKind.LinkCountWrong))]
    [InlineData("UPDATE inode SET nlink = 0 WHERE ino = 4", nameof(MetadataFaultKind.LinkCountWrong))]
    [InlineData("UPDATE inode SET size = 9 WHERE ino = 2", nameof(MetadataFaultKind.DirectorySizeWrong))]
    [InlineData("UPDATE inode SET parent = 1 WHERE ino = 3", nameof(MetadataFaultKind.DirectoryParentWrong))]
    [InlineData("UPDATE dentry SET parent = 3, name = CAST('loop' AS BLOB) WHERE ino = 2", nameof(MetadataFaultKind.DirectoryUnreachable))]
    [InlineData("INSERT INTO dentry VALUES (1, CAST('second' AS BLOB), 999, 3, 4)", nameof(MetadataFaultKind.DirectoryWithManyNames))]
    [InlineData("DELETE FROM inode WHERE ino = 1", nameof(MetadataFaultKind.RootMissing))]
    [InlineData("UPDATE block SET refs = 7 WHERE refs = 2", nameof(MetadataFaultKind.ReferenceCountWrong))]
    [InlineData("UPDATE block SET refs = 1 WHERE refs = 0", nameof(MetadataFaultKind.ReferenceCountWrong))]
    [InlineData("DELETE FROM block WHERE refs = 2", nameof(MetadataFaultKind.ManifestBlockUnknown))]
    [InlineData("UPDATE manifest SET hashes = CAST(hashes || x'00' AS BLOB)", nameof(MetadataFaultKind.ManifestMalformed))]
    [InlineData("UPDATE manifest SET hashes = CAST(hashes || zeroblob(32) AS BLOB)", nameof(MetadataFaultKind.ManifestMalformed))]
    [InlineData("UPDATE manifest SET mapped = 1", nameof(MetadataFaultKind.ManifestMalformed))]
    [InlineData("UPDATE manifest SET manifest = 77 WHERE manifest = 4", nameof(MetadataFaultKind.ManifestWithoutInode))]
    [InlineData("UPDATE manifest SET node = zeroblob(32)", nameof(MetadataFaultKind.SegmentNodeWrong))]
    [InlineData("UPDATE inode SET hash = zeroblob(32) WHERE ino = 4", nameof(MetadataFaultKind.ContentHashWrong))]
    [InlineData("UPDATE inode SET allocated = 1 WHERE ino = 4", nameof(MetadataFaultKind.AllocationWrong))]
    [InlineData("UPDATE xattr SET ino = 77", nameof(MetadataFaultKind.XattrWithoutInode))]
    [InlineData("DELETE FROM xattr", nameof(MetadataFaultKind.XattrTotalWrong))]
    [InlineData("UPDATE volume SET files = files + 1", nameof(MetadataFaultKind.CounterWrong))]
    [InlineData("UPDATE volume SET next_cookie = 4", nameof(MetadataFaultKind.CounterWrong))]
    [InlineData("UPDATE volume SET next_inode = 4", nameof(MetadataFaultKind.CounterWrong))]
    [InlineData("UPDATE inode SET flags = 0 WHERE ino = 9", nameof(MetadataFaultKind.RecordsWithoutFile))]
    [InlineData("DELETE FROM inode WHERE ino = 9", nameof(MetadataFaultKind.RecordsWithoutFile))]
    [InlineData("UPDATE appender SET ino = 77", nameof(MetadataFaultKind.RecordsWithoutFile))]
    [InlineData("DELETE FROM record WHERE chunk = 0", nameof(MetadataFaultKind.RecordsMalformed))]
    [InlineData("UPDATE record SET chunk = 2 WHERE chunk = 1", nameof(MetadataFaultKind.RecordsMalformed))]
    [InlineData("UPDATE record SET count = 5 WHERE chunk = 1", nameof(MetadataFaultKind.RecordsMalformed))]
    [InlineData("UPDATE record SET count = 45 WHERE chunk = 1", nameof(MetadataFaultKind.RecordsMalformed))]
    [InlineData("UPDATE record SET offset = 1 WHERE chunk = 1", nameof(MetadataFaultKind.RecordsMalformed))]
    [InlineData("UPDATE record SET lsn = 1 WHERE chunk = 1", nameof(MetadataFaultKind.RecordsMalformed))]
    [InlineData("UPDATE record SET lsn = 1000000 WHERE chunk = 1", nameof(MetadataFaultKind.RecordsMalformed))]
    [InlineData("UPDATE record SET time = 1 WHERE chunk = 1", nameof(MetadataFaultKind.RecordsMalformed))]
    [InlineData("UPDATE record SET entries = CAST(substr(entries, 1, 30) || x'ff' AS BLOB) WHERE chunk = 0", nameof(MetadataFaultKind.RecordsMalformed))]
    [InlineData("UPDATE appender SET sequence = 3", nameof(MetadataFaultKind.AppenderWrong))]
    [InlineData("UPDATE appender SET sequence = 3000", nameof(MetadataFaultKind.AppenderWrong))]
    [InlineData("UPDATE appender SET writer = x'00'", nameof(MetadataFaultKind.AppenderWrong))]
    public void A_planted_fault_is_found_and_repaired(string sql, string kind)
    {
        _volume.Offline(sql);
        var faults = Faults();
        Assert.Contains(Enum.Parse<MetadataFaultKind>(kind), faults.Select(f => f.Kind));
        Assert.All(faults, f => Assert.DoesNotContain('\n', f.Description));
        var repaired = Store.Repair(null, CancellationToken.None).ToList();
        Assert.NotEmpty(repaired);
        Assert.All(repaired, r => Assert.True(r.Repaired));
        Assert.Empty(Faults());
        // The volume works on: also what comes from the inodes in memory is as repaired.
        Store.Create(InodeNumber.Root, "after");
        Assert.Contains("after", Store.List(InodeNumber.Root));
        _volume.Commit();
        _volume.Reopen();
        Assert.Empty(Faults());
    }

    [Fact]
    public void What_no_name_leads_to_is_found_again_under_lost_and_found()
    {
        _volume.Offline("DELETE FROM dentry WHERE ino = 2; UPDATE manifest SET manifest = 77 WHERE manifest = 5");
        Assert.All(Store.Repair(null, CancellationToken.None).ToList(), r => Assert.True(r.Repaired));
        var home = Store.Lookup(InodeNumber.Root, "lost+found").Value.Inode;
        Assert.Contains("#2", Store.List(home));
        Assert.Equal(_file, Store.Lookup(Store.Lookup(_directory, "inner").Value.Inode, "file").Value.Inode);
        Assert.Equal(home, Store.Lookup(_directory, "..").Value.Inode);
        var adopted = Store.Lookup(home, Store.List(home).Single(n => n != "#2")).Value;
        Assert.Equal((2L * S, Mode.S_IFREG | 0x180u), (adopted.Size, adopted.Mode));
        var hashes = new BlockHash[2];
        Store.ReadManifest(adopted.Inode, 0, hashes);
        Assert.Equal([Hash("y"), Hash("z")], hashes);
    }

    [Theory]
    [InlineData("UPDATE record SET entries = CAST(substr(entries, 1, length(entries) - 1) AS BLOB) WHERE chunk = 1", 299)]
    [InlineData("UPDATE record SET entries = CAST(substr(entries, 1, length(entries) - 1) AS BLOB) WHERE chunk = 0", 255)]
    [InlineData("UPDATE record SET offset = 1 WHERE chunk = 1", 256)]
    [InlineData("DELETE FROM record WHERE chunk = 0", 0)]
    public void Records_are_kept_up_to_the_first_that_is_damaged_and_go_on_there(string sql, int kept)
    {
        var before = Store.Records(_log, 0, 1000, long.MaxValue);
        _volume.Offline(sql);
        Assert.All(Store.Repair(null, CancellationToken.None).ToList(), r => Assert.True(r.Repaired));
        Assert.Equal(before[..kept], Store.Records(_log, 0, 1000, long.MaxValue));
        Assert.Null(Store.NewestAppend(_log, s_writer));
        Append(300);
        Assert.Equal((kept, 300L * 10), (Store.Records(_log, 0, 1000, long.MaxValue)[^1].Sequence, Store.Records(_log, 0, 1000, long.MaxValue)[^1].Offset));
        _volume.Commit();
        Assert.Empty(Faults());
    }

    [Fact]
    public void A_damaged_database_is_told_of_and_not_touched()
    {
        _volume.Offline("SELECT 1");
        Store.Dispose();
        using (var file = new FileStream(_volume.Database, FileMode.Open))
        {
            // The cell count of some leaf page past the schema.
            for (long page = 4; page < file.Length / 4096; page++)
            {
                file.Position = page * 4096;
                if (file.ReadByte() != 0x0A)
                    continue;
                file.Position = page * 4096 + 3;
                file.Write([0x77, 0x77]);
            }
        }
        try
        {
            using var checker = new MetadataChecker(_volume.Database, S, null, CancellationToken.None);
            Assert.Contains(checker.Run(), f => f.Kind == MetadataFaultKind.DatabaseDamaged);
        }
        finally
        {
            _volume.Log.Clear();
        }
    }

    private void Append(int number)
    {
        var inode = Store.Acquire(_log)!;
        Assert.True(Store.AppendRecord(inode, 10L * number, 10, new AppendName { Writer = s_writer, Number = number + 1 }).IsOk);
        Store.Release(inode);
    }

    private static BlockHash Hash(string text) => BlockHash.Of(text.Bytes());

    private List<MetadataFault> Faults() => [.. Store.Check(null, CancellationToken.None)];

    private void Fill(InodeNumber number, params string[] blocks)
    {
        var inode = Store.Acquire(number)!;
        Store.CommitContent(inode, new ContentCommit { Size = (long)blocks.Length * S, ModifyTime = Store.Clock.Now(), Blocks = [.. blocks.Select((b, i) => new ManifestBlock(i, Hash(b), S, 1, 100, 1))] });
        Store.Release(inode);
    }
}

/// <summary>Progress that is told at once, on the thread that tells.</summary>
internal sealed class Now<T>(Action<T> action) : IProgress<T>
{
    public void Report(T value) => action(value);
}
