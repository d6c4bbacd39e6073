using System.Diagnostics;
using Microsoft.Data.Sqlite;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.Engine;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>Replication between silos: a replica is found, filled, followed, read, and promoted.</summary>
public sealed class ReplicationTests(ITestOutputHelper output) : IDisposable
{
    private static readonly Caller s_root = new(0, 0, 1, 0x12);
    private readonly TestFolder _folder = new();

    private static CancellationToken Cancellation => RunningSilo.Cancellation;

    [Fact]
    public async Task A_replica_that_joins_is_filled_and_can_be_read_and_promoted()
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        var master = await RunningSilo.StartAsync(_folder["m"], "master", cluster);
        var file = await WriteAsync(master, "a", Pattern(1, 3_000_000));
        await using var replica = await RunningReplica.StartAsync(_folder["r"], "nas", cluster);
        await DrainAsync(replica, "master");

        ReplicaReport report;
        do
            report = Assert.Single((await Copy(replica, "master").ListReplicasAsync(Cancellation)).Value.Replicas);
        while (report.State != ReplicaState.Following || report.LagMutations != 0);
        Assert.Equal(("nas", 0L, 0.0), (report.Name, report.LagBytes, report.LagSeconds));
        var described = (await Copy(replica, "nas").DescribeAsync(Cancellation)).Value;
        Assert.Equal((CopyRole.Replica, master.Host.Volume.Id, true), (described.Role, described.Volume, described.ReadOnly));
        Assert.Equal(Errno.EROFS, (await Copy(replica, "nas").DrainAsync(1, null, Cancellation)).Error);

        using var session = replica.Receiver.Volume!.OpenSession(new Holder());
        byte[] content = new byte[3_000_000];
        Assert.Equal(content.Length, (await session.ReadAsync(file, 0, content, Cancellation)).Value);
        Assert.Equal(Pattern(1, 3_000_000), content);

        await master.DisposeAsync();
        var epoch = await Copy(replica, "nas").PromoteAsync(force: false, Cancellation);
        Assert.Equal(new Promotion { Epoch = new Epoch(2) }, epoch.Value);
        Assert.Equal(Errno.EEXIST, (await Copy(replica, "nas").PromoteAsync(force: false, Cancellation)).Error);
        var made = await session.CreateAsync(InodeNumber.Root, "b"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, s_root, Cancellation);
        Assert.Equal(Errno.None, made.Error);
        Assert.Equal(CopyRole.Master, (await Copy(replica, "nas").DescribeAsync(Cancellation)).Value.Role);
        master.Log.AssertQuiet();
        replica.Log.AssertQuiet();
    }

    /// <summary>It would take the place of the first in the cluster, and that one its place.</summary>
    [Fact]
    public async Task A_second_start_of_a_replica_that_waits_for_its_master_is_refused_and_the_first_goes_on()
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        await using var replica = await RunningReplica.StartAsync(_folder["r"], "nas", cluster);
        var refused = await Assert.ThrowsAsync<VolumeInUseException>(() => RunningReplica.StartAsync(_folder["r"], "nas", cluster));
        Assert.Contains("is in use by another process", refused.Message, StringComparison.Ordinal);
        await using var master = await RunningSilo.StartAsync(_folder["m"], "master", cluster);
        await WriteAsync(master, "a", Pattern(1, 10_000));
        await DrainAsync(replica, "master");
        Assert.Null(replica.Host.ClusterTrouble);
        replica.Log.AssertQuiet();
    }

    /// <summary>What is kept there is for others to know: no replica waits for it.</summary>
    [Theory]
    [InlineData("CREATE TRIGGER refuse BEFORE INSERT ON OrleansStorage BEGIN SELECT RAISE(FAIL, 'not now'); END")]
    [InlineData("ALTER TABLE OrleansStorage RENAME TO Away")]
    public async Task A_replica_that_comes_while_the_cluster_keeps_no_state_is_attached_once(string fault)
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        await using var master = await RunningSilo.StartAsync(_folder["m"], "master", cluster);
        await SqlAsync(cluster, fault);
        await WriteAsync(master, "a", Pattern(1, 10_000));
        await using var replica = await RunningReplica.StartAsync(_folder["r"], "nas", cluster);
        await DrainAsync(replica, "master");
        // What was sent is counted from one attachment on.
        long sent = SentBytes();
        Assert.InRange(sent, 10_000, long.MaxValue);
        for (int i = 0; i < 3; i++)
        {
            await Task.Delay(Grains.Limits.ReplicaTick, Cancellation);
            Assert.InRange(SentBytes(), sent, long.MaxValue);
        }
        Assert.Contains("cannot be written to the cluster's database", Assert.Single(master.Log.Lines), StringComparison.Ordinal);

        long SentBytes() => Assert.Single(master.Host.Volume.Replication.Reports()).SentBytes;
    }

    [Fact]
    public async Task What_the_cluster_keeps_of_a_replica_goes_when_it_is_forgotten()
    {
        const string Kept = "SELECT count(*) FROM OrleansStorage";
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        await using var master = await RunningSilo.StartAsync(_folder["m"], "master", cluster);
        await using (var replica = await RunningReplica.StartAsync(_folder["r"], "nas", cluster))
        {
            await DrainAsync(replica, "master");
            while (await SqlAsync(cluster, Kept) is not 1L)
                await Task.Delay(20, Cancellation);
        }
        var sender = master.Host.Grains.GetGrain<IReplicationGrain>(new ReplicationKey(CopyName.Parse("nas"), master.Copy).ToString());
        Assert.Equal(Errno.None, (await sender.ForgetAsync(Cancellation)).Error);
        Assert.Equal(0L, await SqlAsync(cluster, Kept));
        Assert.Equal(Errno.ENOENT, (await sender.GetReportAsync(Cancellation)).Error);
    }

    [Fact(Explicit = true)]
    public async Task Speed_of_a_full_copy_and_of_following()
    {
        const int Size = 256 << 20;
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        await using var master = await RunningSilo.StartAsync(_folder["m"], "master", cluster);
        await WriteAsync(master, "before", Pattern(1, Size));
        var watch = Stopwatch.StartNew();
        await using var replica = await RunningReplica.StartAsync(_folder["r"], "nas", cluster);
        await DrainAsync(replica, "master");
        output.WriteLine($"full copy: {Size / 1048576.0 / watch.Elapsed.TotalSeconds:F0} MiB/s, the start of the silo included ({watch.Elapsed.TotalSeconds:F1} s)");
        watch.Restart();
        await WriteAsync(master, "after", Pattern(2, Size));
        var written = watch.Elapsed;
        await DrainAsync(replica, "master");
        output.WriteLine($"following: written in {written.TotalSeconds:F1} s ({Size / 1048576.0 / written.TotalSeconds:F0} MiB/s), drained after {watch.Elapsed.TotalSeconds:F1} s ({Size / 1048576.0 / watch.Elapsed.TotalSeconds:F0} MiB/s)");
    }

    public void Dispose() => _folder.Dispose();

    private static ICopyGrain Copy(RunningReplica from, string name) => from.Grains.GetGrain<ICopyGrain>(new CopyGrainKey(CopyName.Parse(name)).ToString());

    private static async Task DrainAsync(RunningReplica from, string master)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        patience.CancelAfter(TimeSpan.FromSeconds(120));
        Lsn? target = null;
        while (true)
        {
            var step = await Copy(from, master).DrainAsync(1, target, patience.Token);
            Assert.Equal(Errno.None, step.Error);
            if (step.Value.IsDone)
                return;
            target = step.Value.Target;
        }
    }

    private static async Task<object?> SqlAsync(ClusterConnection cluster, string sql)
    {
        await using var database = new SqliteConnection(cluster.ConnectionString);
        await database.OpenAsync(Cancellation);
        await using var command = database.CreateCommand();
        command.CommandText = sql;
        return await command.ExecuteScalarAsync(Cancellation);
    }

    private static async Task<InodeNumber> WriteAsync(RunningSilo silo, string name, byte[] content)
    {
        using var session = silo.Host.Volume.OpenSession(new Holder());
        var made = await session.CreateAsync(InodeNumber.Root, System.Text.Encoding.UTF8.GetBytes(name), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, s_root, Cancellation);
        for (int at = 0; at < content.Length; at += 1 << 20)
        {
            var piece = content.AsMemory(at, Math.Min(1 << 20, content.Length - at));
            Assert.Equal(Errno.None, (await session.WriteAsync(made.Value.Inode, at, piece, WriteFlags.None, Cancellation)).Error);
        }
        return made.Value.Inode;
    }

    private static byte[] Pattern(int seed, int length)
    {
        byte[] data = new byte[length];
        new Random(seed).NextBytes(data);
        return data;
    }
}
