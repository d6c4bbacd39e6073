using System.Globalization;
using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Fault.Tests.Work;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>Another copy becomes the master while programs write on a mount over the network that was made of none by name: they go on, and do not notice.</summary>
public sealed class PromotionTests
{
    private const int Switches = 2;

    private const string Program = """
        import os, sys
        file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND)
        line = 0
        while True:
            os.write(file, b"%08d\n" % line)
            os.fsync(file)
            print(line, flush=True)
            line += 1
        """;

    [Fact]
    public async Task Programs_go_on_where_a_master_that_runs_hands_over_to_a_replica_and_nothing_is_missing_there()
    {
        Needs.Fuse();
        var random = Seed.Make();
        await using var scratch = await Scratch.MakeAsync();
        await using var pool = new WorkerPool();
        // The mount in the master's own process stays with its copy.
        await using var cluster = new TestCluster(scratch) { IsExpected = line => line.Contains("another copy has become the master", StringComparison.Ordinal) };
        await cluster.StartAsync("off");
        string[] kinds = ["append", "pages", "replace", "names", "sqlite-wal"];
        Assignment[] assignments = [.. kinds.Select((kind, i) => new Assignment(kind, kind, i))];
        foreach (var assignment in assignments)
            Directory.CreateDirectory(Path.Combine(cluster.ClientMount, assignment.Folder));
        var round = await pool.StartAsync(assignments, cluster.ClientMount, scratch.Folder("logs"), random.Next(), clock: null);
        foreach (string next in (string[])["nas", "usb"])
        {
            await GetOnAsync(pool, round, random.Next(20, 200));
            Seed.Say($"{next} is to be the master");
            string said = await Report.OfAsync("promote", next, "--cluster", cluster.Cluster);
            Seed.Say(said.Trim());
            Assert.Contains($"'{next}' is the master", said, StringComparison.Ordinal);
            await GetOnAsync(pool, round, random.Next(20, 200));
        }
        Assert.Empty(await pool.EndAsync(tell: true));
        var report = await Report.StatusAsync(cluster.ClientMount);
        Assert.Equal("usb", report.GetProperty("copy").GetString());
        Assert.Equal(1 + Switches, (await Report.ReplicasAsync(cluster.ClientMount)).Number("epoch"));
        (await round.VerifyAsync(cluster.ClientMount, long.MaxValue)).ExpectNone();
        await Usable.WriteAgainAsync(cluster.ClientMount, random);
        await cluster.StartReaderAsync("usb");
        await cluster.StopMasterAsync();
        Usable.SyncAll(cluster.ClientMount);
        await cluster.ExpectEqualAsync();
        await cluster.StopWellAsync();
        await cluster.ExpectCleanAsync("master", "nas", "usb");
    }

    [Fact]
    public async Task What_was_synced_to_a_replica_is_there_once_and_a_program_goes_on_when_the_master_is_gone_and_the_replica_promoted()
    {
        Needs.Fuse();
        var random = Seed.Make();
        await using var scratch = await Scratch.MakeAsync();
        await using var cluster = new TestCluster(scratch) { MasterOptions = ["--cache-size", "8MiB", "--sync-copies", "1"] };
        await cluster.StartAsync("off");
        string path = Path.Combine(cluster.ClientMount, "log");
        await File.WriteAllTextAsync(path, "", TestContext.Current.CancellationToken);
        await Report.DrainAsync(cluster.MasterMount, 2);
        Seed.Say("drained");
        // A process of its own: one that has the file open closes it in each child that it makes, and waits there as the program does.
        await using var program = Child.Start("python3", ["-c", Program, path]);
        int written = 0;
        await program.LineAsync(_ => ++written > random.Next(20, 200), Limits.Command);
        await cluster.LoseMasterAsync();
        Seed.Say(await Report.OfAsync("promote", "nas", "--cluster", cluster.Cluster));
        int before = program.Lines.Count;
        await Usable.UntilAsync(() => program.Lines.Count > before + 50 || program.HasExited, Limits.Command, "the program goes on at the new master", cluster.Said);
        Assert.False(program.HasExited, string.Join('\n', program.Lines.TakeLast(5)));
        await program.KillAsync();
        // What it was answered, and perhaps the line that it was at.
        int[] lines = [.. (await File.ReadAllLinesAsync(path, TestContext.Current.CancellationToken)).Select(l => int.Parse(l, CultureInfo.InvariantCulture))];
        Assert.InRange(lines.Length, program.Lines.Count, program.Lines.Count + 1);
        Assert.Equal(Enumerable.Range(0, lines.Length), lines);
        await Report.DrainAsync(cluster.ClientMount, 1);
        await cluster.StartReadersAsync();
        await cluster.ExpectEqualAsync();
        await cluster.StopWellAsync();
        await cluster.ExpectCleanAsync("nas", "usb");
    }

    private static async Task GetOnAsync(WorkerPool pool, Round round, int steps)
    {
        long until = round.Steps + steps;
        await Usable.UntilAsync(() => round.Steps > until || pool.Failures.Count > 0, Limits.Command, "the workers get on", pause: Limits.DearLook);
        Assert.Empty(pool.Failures);
    }
}
