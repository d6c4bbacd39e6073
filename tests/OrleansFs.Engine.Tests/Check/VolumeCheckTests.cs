using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Engine.Check;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Engine.Tests.Metadata;
using OrleansFs.Engine.Tests.Replication;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Check;

public sealed class VolumeCheckTests : IDisposable
{
    private const int S = 4096;
    private static readonly JsonSerializerOptions s_json = new(JsonSerializerDefaults.Web);

    private readonly string _folder = Directory.CreateTempSubdirectory("ofs-check-").FullName;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    [Fact]
    public async Task A_sound_volume_is_clean_and_a_check_changes_nothing()
    {
        await MakeAsync();
        File.WriteAllText(Path.Combine(_folder, "blocks/tmp/unfinished"), "torn");
        var stray = WriteStray();
        string[] before = Snapshot();
        var steps = new List<string>();
        var report = await CheckAsync(verify: true, progress: new Steps(steps));
        Assert.Equal(0, report.ExitCode);
        Assert.Empty(report.Faults);
        Assert.Equal((4, 4 * S), (report.Blocks, report.VerifiedBytes));
        Assert.Equal((2, 4 + new FileInfo(PathOf(stray)).Length), (report.StrayFiles, report.StrayBytes));
        Assert.Equal(before, Snapshot());
        Assert.Contains("verifying blocks", steps);
        Assert.Equal(0, (await CheckAsync()).VerifiedBytes);
    }

    [Fact]
    public async Task A_repair_deletes_files_that_nothing_knows_and_leaves_what_is_not_ours()
    {
        await MakeAsync();
        string torn = Path.Combine(_folder, "blocks/tmp/unfinished");
        string note = Path.Combine(_folder, "blocks/note");
        File.WriteAllText(torn, "torn");
        File.WriteAllText(note, "of somebody");
        var stray = WriteStray();
        var report = await CheckAsync(repair: true);
        Assert.Equal((0, 2), (report.ExitCode, report.StrayFiles));
        Assert.False(File.Exists(torn) || File.Exists(PathOf(stray)));
        Assert.True(File.Exists(note));
        Assert.Equal(0, (await CheckAsync(verify: true)).StrayFiles);
    }

    /// <summary>A master counts what a replica has acknowledged, and gives its own up for that: it is told what a check has found lost.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task What_is_lost_on_a_replica_its_master_hears_of_and_sends_again(bool isDamaged)
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        byte[] content = [.. Enumerable.Range(1, 4).SelectMany(i => Enumerable.Repeat((byte)i, S))];
        await master.WriteAsync(await master.CreateFileAsync("f"), 0, content);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(1, null, Cancellation)).Error);
        var hash = BlockHash.Of(content.AsSpan(S, S));
        string path = Path.Combine(replica.Folder, "blocks", hash.ToString()[..2], hash.ToString());
        await master.Copy.Replication.DetachAsync(replica.Name);
        await replica.RestartAsync(async () =>
        {
            if (isDamaged)
                File.WriteAllBytes(path, [.. File.ReadAllBytes(path)[..^1], 77]);
            else
                File.Delete(path);
            var options = new CheckOptions { DataFolder = replica.Folder, VerifyData = true };
            Assert.Equal(4, (await VolumeCheck.RunAsync(options, NullLoggerFactory.Instance, TimeProvider.System, null, Cancellation)).ExitCode);
            var mended = await VolumeCheck.RunAsync(options with { Repair = true }, NullLoggerFactory.Instance, TimeProvider.System, null, Cancellation);
            Assert.Equal(1, mended.ExitCode);
            Assert.Contains("its master", Assert.Single(mended.Faults).Description, StringComparison.Ordinal);
            Assert.Equal(0, (await VolumeCheck.RunAsync(options, NullLoggerFactory.Instance, TimeProvider.System, null, Cancellation)).ExitCode);
        });
        Assert.True(replica.Volume.ReplicaBlocks.IsDamaged(hash));
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(1, null, Cancellation)).Error);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        while (replica.Volume.ReplicaBlocks.IsDamaged(hash))
            await Task.Delay(20, patience.Token);
        Assert.True(replica.Volume.BlockStore.Files.Verify(hash).IsOk);
    }

    [Fact]
    public async Task A_flipped_bit_is_found_when_data_is_verified_and_told_with_the_files_concerned()
    {
        var hash = (await MakeAsync())[1];
        byte[] file = File.ReadAllBytes(PathOf(hash));
        file[^1] ^= 1;
        File.WriteAllBytes(PathOf(hash), file);
        Assert.Equal(0, (await CheckAsync()).ExitCode);
        var report = await CheckAsync(verify: true);
        Assert.Equal((4, 1, 0), (report.ExitCode, report.FaultCount, report.Repaired));
        var fault = Assert.Single(report.Faults);
        Assert.Equal(("blockCorrupt", hash.ToString(), false), (fault.Kind, fault.Block, fault.Repaired));
        Assert.Equal(["/folder/one", "/two"], fault.Paths.Order(StringComparer.Ordinal));
        Assert.True(File.Exists(PathOf(hash)));
    }

    [Fact]
    public async Task A_header_or_length_that_is_wrong_is_found_at_once()
    {
        var hashes = await MakeAsync();
        File.WriteAllBytes(PathOf(hashes[0]), File.ReadAllBytes(PathOf(hashes[0]))[..^1]);
        byte[] file = File.ReadAllBytes(PathOf(hashes[1]));
        file[0] ^= 1;
        File.WriteAllBytes(PathOf(hashes[1]), file);
        File.Delete(PathOf(hashes[2]));
        var report = await CheckAsync();
        Assert.Equal(4, report.ExitCode);
        Assert.Equal(["blockCorrupt", "blockCorrupt", "blockMissing"], report.Faults.Select(f => f.Kind).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task A_corrupt_block_is_put_aside_and_the_same_content_written_again_mends_the_files()
    {
        var hash = (await MakeAsync())[1];
        byte[] good = File.ReadAllBytes(PathOf(hash));
        File.WriteAllBytes(PathOf(hash), [.. good[..^1], (byte)(good[^1] ^ 1)]);
        var report = await CheckAsync(repair: true, verify: true);
        Assert.Equal(4, report.ExitCode);
        Assert.False(File.Exists(PathOf(hash)));
        Assert.True(File.Exists(Path.Combine(_folder, "lost+blocks", hash.ToString())));
        report = await CheckAsync();
        Assert.Equal((4, "blockMissing"), (report.ExitCode, report.Faults.Single().Kind));
        await using (var volume = await VolumeFixture.CreateAsync(S, _folder))
        {
            var again = await volume.CreateFileAsync("again");
            await volume.WriteAsync(again, 0, Content(1));
            // Closing makes blocks of everything; a small fsync alone does not.
            await volume.ReopenAsync();
            byte[] mended = await volume.ReadAllAsync(await volume.FindAsync("two"));
            Assert.Equal([.. Content(0), .. Content(1), .. Content(2)], mended);
        }
        Assert.Equal(0, (await CheckAsync(verify: true)).ExitCode);
    }

    [Fact]
    public async Task A_dead_block_that_is_corrupt_is_mended_by_putting_it_aside()
    {
        var hash = (await MakeAsync())[3];
        await using (var volume = await VolumeFixture.CreateAsync(S, _folder))
            await volume.SetSizeAsync(await volume.FindAsync("three"), 0);
        File.WriteAllText(PathOf(hash), "bad");
        Assert.Equal(4, (await CheckAsync()).ExitCode);
        Assert.Equal(1, (await CheckAsync(repair: true)).ExitCode);
        Assert.Equal(0, (await CheckAsync(verify: true)).ExitCode);
    }

    [Fact]
    public async Task Metadata_that_is_wrong_is_mended()
    {
        await MakeAsync();
        using (var database = Engine.Metadata.Database.Open(Path.Combine(_folder, "meta.db"), 1024))
            database.Execute("UPDATE block SET refs = refs + 5");
        var report = await CheckAsync();
        Assert.Equal(4, report.ExitCode);
        Assert.Contains(report.Faults, f => f.Kind == "referenceCountWrong");
        Assert.Equal(1, (await CheckAsync(repair: true)).ExitCode);
        Assert.Equal(0, (await CheckAsync(verify: true)).ExitCode);
    }

    [Fact]
    public async Task A_volume_in_use_or_none_at_all_is_refused()
    {
        await Assert.ThrowsAsync<VolumeException>(() => CheckAsync());
        await using var volume = await VolumeFixture.CreateAsync(S, _folder);
        await Assert.ThrowsAsync<VolumeInUseException>(() => CheckAsync());
    }

    /// <summary>A disk without a byte left has no room for who has the folder, and that is no reason to call it in use. (A file that cannot be made fails in the same way.)</summary>
    [Fact]
    public async Task A_folder_in_which_nobody_can_say_that_he_has_it_is_not_called_in_use()
    {
        Directory.CreateDirectory(_folder);
        File.CreateSymbolicLink(Path.Combine(_folder, "pid"), "/no-such-folder/pid");
        await using (await VolumeFixture.CreateAsync(S, _folder))
            await Assert.ThrowsAsync<VolumeInUseException>(() => CheckAsync());
        Assert.Equal(0, (await CheckAsync()).ExitCode);
    }

    /// <summary>The names of the JSON are a contract.</summary>
    [Fact]
    public void The_report_has_these_names()
    {
        var report = new CheckReport([new CheckFault("k", "d", false, 1, "b", ["p"])], 1, 0, 2, 3, 4, 5);
        Assert.Equal(
            """{"faults":[{"kind":"k","description":"d","repaired":false,"inode":1,"block":"b","paths":["p"]}],"faultCount":1,"repaired":0,"blocks":2,"verifiedBytes":3,"strayFiles":4,"strayBytes":5,"exitCode":4}""",
            JsonSerializer.Serialize(report, s_json));
    }

    private static byte[] Content(int seed)
    {
        byte[] content = new byte[S];
        new Random(seed).NextBytes(content);
        return content;
    }

    /// <summary>A volume with /folder/one of blocks 0 and 1, /two of 0, 1 and 2, and /three of 3, at rest.</summary>
    private async Task<BlockHash[]> MakeAsync()
    {
        await using var volume = await VolumeFixture.CreateAsync(S, _folder);
        var folder = await volume.Volume.CreateAsync(InodeNumber.Root, "folder".Bytes(), new NewInode { Mode = Mode.S_IFDIR | 0x1ED }, VolumeFixture.Root, Cancellation);
        var one = await volume.Volume.CreateAsync(folder.Value.Inode, "one".Bytes(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, VolumeFixture.Root, Cancellation);
        await volume.WriteAsync(one.Value.Inode, 0, [.. Content(0), .. Content(1)]);
        await volume.WriteAsync(await volume.CreateFileAsync("two"), 0, [.. Content(0), .. Content(1), .. Content(2)]);
        await volume.WriteAsync(await volume.CreateFileAsync("three"), 0, Content(3));
        return [.. Enumerable.Range(0, 4).Select(i => BlockHash.Of(Content(i)))];
    }

    private BlockHash WriteStray()
    {
        var hash = BlockHash.Of([1, 2, 3]);
        using var files = Engine.Blocks.BlockFiles.Open(_folder, TimeProvider.System, NullLogger.Instance, keepTemporaries: true);
        files.Write(hash, [1, 2, 3]);
        return hash;
    }

    private string PathOf(BlockHash hash)
    {
        string text = hash.ToString();
        return Path.Combine(_folder, "blocks", text[..2], text);
    }

    private string[] Snapshot() => [.. Directory.GetFiles(Path.Combine(_folder, "blocks"), "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal)];

    private Task<CheckReport> CheckAsync(bool repair = false, bool verify = false, IProgress<CheckStep>? progress = null) =>
        VolumeCheck.RunAsync(new CheckOptions { DataFolder = _folder, Repair = repair, VerifyData = verify }, NullLoggerFactory.Instance, TimeProvider.System, progress, Cancellation);

    private sealed class Steps(List<string> steps) : IProgress<CheckStep>
    {
        public void Report(CheckStep value)
        {
            lock (steps)
                steps.Add(value.Step);
        }
    }
}
