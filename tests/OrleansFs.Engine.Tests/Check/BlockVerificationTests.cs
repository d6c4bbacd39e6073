using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Check;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Engine.Tests.Replication;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Check;

/// <summary>The verification of all block files, in passes that outlive a process.</summary>
public sealed class BlockVerificationTests
{
    private const int S = 4096;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_pass_goes_on_after_a_restart_where_it_was()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await WriteAsync(master, 40);
        string[] hashes = [.. Blocks(master).Select(b => Path.GetFileName(b)).Order(StringComparer.Ordinal)];
        // Before the cursor nobody looks again: a damage there is for the next pass.
        File.Delete(Blocks(master).Single(b => Path.GetFileName(b) == hashes[3]));
        await master.Copy.CloseAsync();
        var began = DateTimeOffset.UtcNow.AddHours(-1);
        await File.WriteAllTextAsync(StateOf(master), JsonSerializer.Serialize(new { version = 1, cursor = hashes[29], began, isAsked = true, blocks = 30, damaged = 2 }), Cancellation);
        await master.ReopenAsync();
        await UntilAsync(() => !master.Copy.Verification.Report.IsRunning);
        var report = master.Copy.Verification.Report;
        Assert.Equal((2L, 0L), (report.LastDamaged, report.Unrepaired));
        Assert.True(report.Last > began);
        Assert.Equal((40L, 1L), await master.Copy.VerifyAllAsync());

        // Known after a restart, also of a folder at rest.
        var last = master.Copy.Verification.Report.Last;
        await master.ReopenAsync();
        Assert.Equal((last, 1L, false), (master.Copy.Verification.Report.Last, master.Copy.Verification.Report.LastDamaged, master.Copy.Verification.Report.IsRunning));
    }

    [Fact]
    public async Task The_first_pass_of_a_volume_is_not_due_before_it_is_old_enough()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        var every = TimeSpan.FromDays(14);
        using (var fresh = new BlockVerification(master.Copy, every, TimeProvider.System, NullLogger.Instance))
            Assert.InRange(fresh.Due!.Value, DateTimeOffset.UtcNow + every - TimeSpan.FromMinutes(10), DateTimeOffset.UtcNow + every);
        using (var never = new BlockVerification(master.Copy, null, TimeProvider.System, NullLogger.Instance))
            Assert.Null(never.Due);
        var last = DateTimeOffset.UtcNow.AddDays(-20);
        await File.WriteAllTextAsync(StateOf(master), JsonSerializer.Serialize(new { version = 1, last }), Cancellation);
        using (var old = new BlockVerification(master.Copy, every, TimeProvider.System, NullLogger.Instance))
            Assert.Equal(last + every, old.Due);
    }

    [Fact]
    public async Task What_is_damaged_on_a_master_is_told_of_until_a_replica_gives_it()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        byte[] content = await WriteAsync(master, 8);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(1, null, Cancellation)).Error);
        replica.Link.Target = null;
        string[] blocks = Blocks(master);
        await DamageAsync(blocks[0]);
        File.Delete(blocks[1]);
        await File.WriteAllBytesAsync(blocks[2], [], Cancellation);
        Assert.Equal((8L, 3L), await master.Copy.VerifyAllAsync());
        Assert.Equal(3, master.Copy.Verification.Report.Unrepaired);
        Assert.Contains("3 blocks are damaged or missing here", (await master.StatusAsync()).Trouble, StringComparison.Ordinal);
        Assert.Equal(2, Directory.GetFiles(Path.Combine(master.Folder, "lost+blocks")).Length);

        replica.Link.Target = replica.Receiver;
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await UntilAsync(() => master.Copy.Replication.Reports().Single().State == ReplicaState.Following);
        Assert.Equal((8L, 3L), await master.Copy.VerifyAllAsync());
        await UntilAsync(() => master.Copy.Verification.Report.Unrepaired == 0);
        Assert.Null((await master.StatusAsync()).Trouble);
        Assert.Equal((8L, 0L), await master.Copy.VerifyAllAsync());
        Assert.Equal(content, await master.ReadAllAsync(await master.FindAsync("f")));
    }

    [Fact]
    public async Task A_replica_tells_its_master_and_keeps_what_it_knows_when_it_is_given_a_full_copy()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteAsync(master, 8);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(1, null, Cancellation)).Error);
        Assert.Null(master.Copy.Replication.Reports().Single().LastVerification);
        await replica.VerifyAsync();
        await UntilAsync(() => master.Copy.Replication.Reports().Single().LastVerification == replica.Volume.Verification.Report.Last);
        await replica.RestartAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await UntilAsync(() => master.Copy.Replication.Reports().Single() is { LastVerification: not null, Verification.LastDamaged: 0 });
    }

    [Fact]
    public async Task A_pass_can_be_ended_and_what_is_not_understood_begins_one_anew()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await WriteAsync(master, 8);
        await master.Copy.CloseAsync();
        await File.WriteAllTextAsync(StateOf(master), "{ \"version\": 1, \"began\": \"2026-01-01T00:00:00+00:00\", \"blocks\": 5, \"cursor\": \"no hash\" }", Cancellation);
        await master.ReopenAsync();
        Assert.Equal((true, 5L), (master.Copy.Verification.Report.IsRunning, master.Copy.Verification.Report.Blocks));
        Assert.False(master.Copy.Verify(VerificationAction.Stop).Value.IsRunning);
        await master.Copy.CloseAsync();
        await File.WriteAllTextAsync(StateOf(master), "no JSON", Cancellation);
        await master.ReopenAsync();
        Assert.Null(master.Copy.Verification.Report.Last);
        Assert.Equal((8L, 0L), await master.Copy.VerifyAllAsync());
    }

    /// <summary>A file that is restored from a backup after its copy here was found damaged has the same hashes: they name nothing that could be shared.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_was_found_damaged_is_stored_again_when_it_is_written_again(bool afterRestart)
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        byte[] content = await WriteAsync(master, 4);
        await master.ReopenAsync();
        var hash = BlockHash.Of(content.AsSpan(S, S));
        string path = Blocks(master).Single(b => Path.GetFileName(b) == hash.ToString());
        await DamageAsync(path);
        var a = await master.FindAsync("f");
        Assert.Equal(Errno.EIO, (await master.Volume.ReadAsync(a, 0, new byte[content.Length], Cancellation)).Error);
        Assert.Equal(1, master.Copy.Verification.Report.Unrepaired);
        if (afterRestart)
        {
            await master.ReopenAsync();
            a = await master.FindAsync("f");
            Assert.Equal(1, master.Copy.Verification.Report.Unrepaired);
        }
        var b = await master.CreateFileAsync("b");
        await master.WriteAsync(b, 0, content);
        Assert.Equal(Errno.None, (await master.Copy.SyncAllAsync(Cancellation)).Error);
        Assert.Equal(0, master.Copy.Verification.Report.Unrepaired);
        Assert.Equal(content, await master.ReadAllAsync(b));
        Assert.Equal(content, await master.ReadAllAsync(a));
        Assert.Equal((4L, 0L), await master.Copy.VerifyAllAsync());
    }

    [Fact]
    public async Task What_a_reader_has_found_damaged_is_moved_out_of_the_way_by_the_next_pass()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        byte[] content = await WriteAsync(master, 4);
        await master.ReopenAsync();
        await DamageAsync(Blocks(master)[0]);
        Assert.Equal(Errno.EIO, (await master.Volume.ReadAsync(await master.FindAsync("f"), 0, new byte[content.Length], Cancellation)).Error);
        Assert.Equal((4L, 1L), await master.Copy.VerifyAllAsync());
        Assert.Single(Directory.GetFiles(Path.Combine(master.Folder, "lost+blocks")));
        Assert.Equal(1, master.Copy.Verification.Report.Unrepaired);
    }

    [Fact]
    public async Task What_a_replica_has_had_again_when_its_damage_is_told_of_stays()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        byte[] content = await WriteAsync(master, 1);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        Assert.Equal(Errno.None, (await master.Copy.Replication.DrainAsync(1, null, Cancellation)).Error);
        var hash = BlockHash.Of(content);
        replica.Volume.ReplicaBlocks.NoteDamaged(hash, BlockReadResult.Corrupt("as it was read before"));
        Assert.Equal(0, replica.Volume.ReplicaBlocks.DamagedCount);
        Assert.True(replica.Volume.BlockStore.Files.Verify(hash).IsOk);
    }

    private static async Task DamageAsync(string path)
    {
        byte[] bytes = await File.ReadAllBytesAsync(path, Cancellation);
        bytes[^1] ^= 1;
        await File.WriteAllBytesAsync(path, bytes, Cancellation);
    }

    private static string StateOf(VolumeFixture master) => Path.Combine(master.Folder, "verification.json");

    private static string[] Blocks(VolumeFixture master) => Directory.GetFiles(Path.Combine(master.Folder, "blocks"), "*", SearchOption.AllDirectories);

    private static async Task<byte[]> WriteAsync(VolumeFixture master, int blocks)
    {
        byte[] data = new byte[blocks * S];
        new Random(1).NextBytes(data);
        var file = await master.CreateFileAsync("f");
        await master.WriteAsync(file, 0, data);
        await master.Volume.SyncAllAsync(Cancellation);
        return data;
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        while (!condition())
            await Task.Delay(20, patience.Token);
    }
}
