using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

public sealed class CheckTests : IDisposable
{
    private const int S = TestVolume.BlockSize;
    private readonly TestVolume _volume = new();
    private readonly InodeNumber _directory, _inner, _file, _linked;

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
