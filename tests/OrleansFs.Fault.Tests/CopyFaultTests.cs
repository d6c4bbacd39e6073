using System.Text.RegularExpressions;
using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Fault.Tests.Work;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>What happens to one copy while others are whole: block files that rot, a disk that is full, a disk that is gone, a process that is killed while it is given its first copy.</summary>
public sealed class CopyFaultTests
{
    private const int Files = 12;
    private const int FileSize = 160 << 10;
    private const int LargeFileSize = 10 << 20;
    private const int Kills = 5;

    private static CancellationToken Ending => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Damaged_blocks_on_either_side_are_found_by_reading_and_by_verification_and_had_from_another_copy()
    {
        Needs.Fuse();
        var random = Seed.Make();
        await using var scratch = await Scratch.MakeAsync();
        await using var cluster = new TestCluster(scratch) { MasterOptions = ["--cache-size", "64MiB"], IsExpected = line => line.Contains("is damaged", StringComparison.Ordinal) };
        await cluster.StartMasterAsync();
        await cluster.StartReplicaAsync("nas");
        await cluster.StartReplicaAsync("usb");
        var contents = await WriteAsync(cluster.MasterMount, random, "a");
        await Report.DrainAsync(cluster.MasterMount, 2);

        // Found by whoever reads: the master's own, and a replica's that a mount reads from. Started anew, so that nobody has them in memory.
        await cluster.StopMasterAsync();
        await cluster.StopReplicaAsync("nas");
        Damage(cluster.Folder("master"), random);
        Damage(cluster.Folder("nas"), random);
        await cluster.StartReplicaAsync("nas");
        await cluster.StartMasterAsync();
        await ExpectAsync(cluster.MasterMount, contents);
        await cluster.StartReaderAsync("nas");
        await ExpectAsync(cluster.CopyMount("nas"), contents);
        // One is deleted, two are moved out of the way.
        Assert.Equal(2, Directory.GetFiles(Path.Combine(cluster.Folder("master"), "lost+blocks")).Length);
        Assert.Equal(2, Directory.GetFiles(Path.Combine(cluster.Folder("nas"), "lost+blocks")).Length);
        await cluster.ExpectEqualAsync();

        // Found by verification, which nobody has to read for.
        Assert.Equal(System.Text.Json.JsonValueKind.Null, (await Report.ReplicaAsync(cluster.MasterMount, "nas")).GetProperty("lastVerification").ValueKind);
        Damage(cluster.Folder("master"), random);
        Damage(cluster.Folder("nas"), random);
        string said = await Report.OfAsync("verify", cluster.MasterMount, "--wait");
        Assert.Contains("master: ", said, StringComparison.Ordinal);
        Assert.Equal(2, said.Split("3 were damaged or missing and have been had from another copy").Length - 1);
        Assert.Contains("usb: ", said, StringComparison.Ordinal);
        Assert.Contains("all whole", said, StringComparison.Ordinal);
        var nas = await Report.ReplicaAsync(cluster.MasterMount, "nas");
        Assert.Equal(3, nas.GetProperty("verification").Number("lastDamaged"));
        Assert.Equal(0, nas.Number("damagedBlocks"));
        Assert.NotEqual(System.Text.Json.JsonValueKind.Null, nas.GetProperty("lastVerification").ValueKind);
        Assert.Contains("3 damaged", await Report.OfAsync("replicas", cluster.Cluster), StringComparison.Ordinal);
        Assert.Contains("3 blocks were damaged", await Report.OfAsync("status", cluster.MasterMount), StringComparison.Ordinal);

        // What the master has given up is had from the replica that has it whole, and the other one is sent it again.
        await Report.OfAsync("evict", cluster.MasterMount);
        Damage(cluster.Folder("usb"), random, Damage(cluster.Folder("nas"), random));
        // Nor is it in the kernel's page cache.
        await File.WriteAllTextAsync("/proc/sys/vm/drop_caches", "1", TestContext.Current.CancellationToken);
        await ExpectAsync(cluster.MasterMount, contents);
        await Report.OfAsync("verify", cluster.MasterMount, "--wait");
        said = await Report.OfAsync("verify", cluster.Cluster, "--wait");
        Assert.Equal(3, said.Split("all whole").Length - 1);
        await cluster.StopWellAsync();
        await cluster.ExpectCleanAsync("master", "nas", "usb");
    }

    [Fact]
    public async Task A_replica_whose_disk_is_full_is_told_of_can_be_read_and_goes_on_when_there_is_room()
    {
        Needs.LoopDevices();
        var random = Seed.Make();
        await using var scratch = await Scratch.MakeAsync();
        await using var disk = await LoopDevice.MakeAsync(scratch, Limits.SmallDiskBytes);
        await using var cluster = new TestCluster(scratch) { MasterOptions = [], IsExpected = line => line.Contains("ReplicaReceiver", StringComparison.Ordinal) || line.Contains("MetadataStore", StringComparison.Ordinal) };
        cluster.Place("nas", Path.Combine(disk.MountPoint, "nas"));
        await cluster.StartMasterAsync();
        await cluster.StartReplicaAsync("nas");
        await cluster.StartReplicaAsync("usb");
        var before = await WriteAsync(cluster.MasterMount, random, "before");
        await Report.DrainAsync(cluster.MasterMount, 2);

        disk.FillUpTo(random.Next(2) == 0 ? 0 : 2 << 20);
        var after = await WriteAsync(cluster.MasterMount, random, "after");
        // It holds up nobody: the other has everything.
        await Report.DrainAsync(cluster.MasterMount, 1);
        await Usable.UntilAsync(() => State(cluster) == "unable", Limits.Mended, "the master knows that the replica takes nothing", pause: Limits.DearLook);
        string replicas = await Report.OfAsync("replicas", cluster.MasterMount);
        Assert.True(Regex.IsMatch(replicas, "nas: .*(full|ENOSPC)"), replicas);
        var refused = await Tool.TryRunAsync(Programs.OrleansFs, Limits.Command, "drain", cluster.MasterMount, "--copies", "2", "--wait", "1s");
        Assert.Equal(1, refused.ExitCode);
        Assert.Contains("nas is unable", refused.Errors, StringComparison.Ordinal);
        await cluster.StartReaderAsync("nas");
        await ExpectAsync(cluster.CopyMount("nas"), before);

        disk.MakeRoom();
        await Report.DrainAsync(cluster.MasterMount, 2);
        await ExpectAsync(cluster.CopyMount("nas"), after);
        await cluster.ExpectEqualAsync();
        await cluster.StopWellAsync();
        await cluster.ExpectCleanAsync("master", "nas", "usb");
        await disk.DetachAsync();
    }

    [Fact]
    public async Task When_the_disk_of_a_master_is_gone_everything_that_was_drained_is_on_the_promoted_replica()
    {
        Needs.Fuse();
        var random = Seed.Make();
        await using var scratch = await Scratch.MakeAsync();
        await using var pool = new WorkerPool();
        await using var cluster = new TestCluster(scratch);
        await cluster.StartMasterAsync();
        await cluster.StartReplicaAsync("nas");
        await cluster.StartReplicaAsync("usb");
        Assignment[] drained = [new("library", "drained", 1), new("names", "names", 0)];
        Assignment[] going = [new("library", "going", 2), new("replace", "replace", 3)];
        foreach (var assignment in drained.Concat(going))
            Directory.CreateDirectory(Path.Combine(cluster.MasterMount, assignment.Folder));
        var kept = await pool.StartAsync(drained, cluster.MasterMount, scratch.Folder("logs"), random.Next(), clock: null);
        await Usable.UntilAsync(() => kept.Steps > 200, Limits.Command, "the workers get on", pause: Limits.DearLook);
        Assert.Empty(await pool.EndAsync(tell: true));
        await Report.DrainAsync(cluster.MasterMount, 2);
        var other = await pool.StartAsync(going, cluster.MasterMount, scratch.Folder("logs"), random.Next(), clock: null);
        await Usable.UntilAsync(() => other.Steps > random.Next(20, 100), Limits.Command, "the workers get on", pause: Limits.DearLook);
        await cluster.LoseMasterAsync();
        await pool.EndAsync(tell: false);

        string further = await FurtherAsync(cluster);
        Assert.Contains("in epoch 2", await Report.OfAsync("promote", further, "--cluster", cluster.Cluster), StringComparison.Ordinal);
        await cluster.StartClientAsync();
        (await kept.VerifyAsync(cluster.ClientMount, long.MaxValue)).ExpectNone();
        await Usable.WriteAgainAsync(cluster.ClientMount, random);
        await Report.DrainAsync(cluster.ClientMount, 1);
        await cluster.StartReadersAsync();
        await cluster.ExpectEqualAsync();
        await cluster.StopWellAsync();
        await cluster.ExpectCleanAsync("nas", "usb");
    }

    [Fact]
    public async Task A_replica_that_is_killed_again_and_again_while_it_is_given_its_first_copy_goes_on_where_it_was()
    {
        Needs.Fuse();
        var random = Seed.Make();
        await using var scratch = await Scratch.MakeAsync();
        await using var cluster = new TestCluster(scratch) { MasterOptions = [] };
        await cluster.StartMasterAsync();
        for (int i = 0; i < 4; i++)
        {
            byte[] content = new byte[LargeFileSize];
            random.NextBytes(content);
            await File.WriteAllBytesAsync(Path.Combine(cluster.MasterMount, $"large{i}"), content, Ending);
        }
        Usable.SyncAll(cluster.MasterMount);
        long all = (await Report.StatusAsync(cluster.MasterMount)).Number("storedBytes");
        int interrupted = 0;
        long had = 0;
        for (int kill = 0; kill < Kills && had < all; kill++)
        {
            await cluster.StartReplicaAsync("nas");
            long more = had + random.NextInt64(1, all / (Kills * 2));
            await Usable.UntilAsync(() => BytesOfBlocks(cluster.Folder("nas")) > more, Limits.Command, "the replica is being given blocks", () => $"{BytesOfBlocks(cluster.Folder("nas"))} of {all} bytes are there, wanted {more}");
            await cluster.KillReplicaAsync("nas");
            had = BytesOfBlocks(cluster.Folder("nas"));
            Seed.Say($"killed with {had} of {all} bytes");
            interrupted += had < all ? 1 : 0;
        }
        Seed.Say($"{interrupted} of {Kills} kills came before the copy was whole; {had} of {all} bytes were there");
        Assert.True(interrupted >= 3, "the copy was whole too early: this run proves nothing");
        await cluster.StartReplicaAsync("nas");
        await Report.DrainAsync(cluster.MasterMount, 1);
        Seed.Say("drained");
        long sent = (await Report.ReplicaAsync(cluster.MasterMount, "nas")).Number("sentBytes");
        long metadata = (await Report.StatusAsync(cluster.MasterMount)).Number("metadataBytes");
        Assert.True(sent <= all - had + metadata + (2 << 20), $"{sent} bytes were sent, {had} of {all} were there before");
        await cluster.StartReaderAsync("nas");
        await cluster.ExpectEqualAsync();
        Seed.Say("equal");
        await cluster.StopWellAsync();
        await cluster.ExpectCleanAsync("master", "nas");
    }

    private static string State(TestCluster cluster) => Report.ReplicaAsync(cluster.MasterMount, "nas").GetAwaiter().GetResult().GetProperty("state").GetString()!;

    /// <summary>The replica that has most: promotion takes no other.</summary>
    private static async Task<string> FurtherAsync(TestCluster cluster)
    {
        var (nas, usb) = (await Report.ReplicaAsync(cluster.Cluster, "nas"), await Report.ReplicaAsync(cluster.Cluster, "usb"));
        return nas.Number("lsn") >= usb.Number("lsn") ? "nas" : "usb";
    }

    private static async Task<Dictionary<string, byte[]>> WriteAsync(string mountPoint, Random random, string folder)
    {
        Directory.CreateDirectory(Path.Combine(mountPoint, folder));
        var contents = new Dictionary<string, byte[]>();
        for (int i = 0; i < Files; i++)
        {
            byte[] content = new byte[FileSize];
            random.NextBytes(content);
            contents[$"{folder}/{i}"] = content;
            await File.WriteAllBytesAsync(Path.Combine(mountPoint, folder, $"{i}"), content, Ending);
        }
        Usable.SyncAll(Path.Combine(mountPoint, folder));
        return contents;
    }

    private static async Task ExpectAsync(string mountPoint, Dictionary<string, byte[]> contents)
    {
        foreach (var (name, content) in contents)
            Assert.Equal(content, await File.ReadAllBytesAsync(Path.Combine(mountPoint, name), Ending));
    }

    /// <summary>One block file is cut off, in one a bit is flipped, and one is deleted.</summary>
    /// <param name="folder">Of a copy.</param>
    /// <param name="random">Which.</param>
    /// <param name="others">Blocks that nobody else has whole: not these.</param>
    /// <returns>The blocks.</returns>
    private static string[] Damage(string folder, Random random, params string[] others)
    {
        string[] blocks = [.. Directory.GetFiles(Path.Combine(folder, "blocks"), "*", SearchOption.AllDirectories).Where(f => Path.GetFileName(f).Length == 64).Order(StringComparer.Ordinal)];
        blocks = [.. blocks.ExceptBy(others, f => Path.GetFileName(f))];
        random.Shuffle(blocks);
        using (var cut = File.OpenWrite(blocks[0]))
            cut.SetLength(random.NextInt64(cut.Length));
        byte[] bytes = File.ReadAllBytes(blocks[1]);
        bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
        File.WriteAllBytes(blocks[1], bytes);
        File.Delete(blocks[2]);
        return [.. blocks.Take(3).Select(f => Path.GetFileName(f))];
    }

    private static long BytesOfBlocks(string folder)
    {
        string blocks = Path.Combine(folder, "blocks");
        return Directory.Exists(blocks) ? new DirectoryInfo(blocks).EnumerateFiles("*", SearchOption.AllDirectories).Where(f => f.Name.Length == 64).Sum(f => f.Exists ? f.Length : 0) : 0;
    }
}
