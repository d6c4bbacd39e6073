using OrleansFs.Cluster.Tests.Support;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>Processes of different versions refuse each other, in one line that says what to do.</summary>
public sealed class ContractTests : IDisposable
{
    private readonly TestFolder _folder = new();

    private static CancellationToken Cancellation => RunningSilo.Cancellation;

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    public async Task A_mount_of_another_version_is_refused(ulong contract)
    {
        await using var silo = await RunningSilo.StartAsync(_folder["one"]);
        var session = silo.Host.Grains.GetGrain<ISessionGrain>(new SessionKey(SessionId.New(), silo.Copy).ToString());
        var start = new SessionStart { Client = "laptop:/mnt", Contract = contract };
        Assert.Equal(Errno.EPROTONOSUPPORT, (await session.AttachAsync(start, Cancellation)).Error);
        Assert.Equal(Errno.None, (await session.AttachAsync(start with { Contract = Contract.Id }, Cancellation)).Error);
        Assert.Equal(Contract.Id, (await silo.Host.Grains.GetGrain<ICopyGrain>(new CopyGrainKey(silo.Copy).ToString()).DescribeAsync(Cancellation)).Value.Contract);
    }

    [Fact]
    public async Task A_master_of_another_version_is_refused_and_one_that_is_fenced_learns_of_it_all_the_same()
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        await using var master = await RunningSilo.StartAsync(_folder["m"], "master", cluster);
        await using var nas = await RunningReplica.StartAsync(_folder["r"], "nas", cluster);
        var hello = new MasterHello { Volume = master.Host.Volume.Id, VolumeName = "fotos", BlockSize = 4096, Master = CopyName.Parse("old"), Epoch = new Epoch(0), Epochs = [], Contract = 1 };
        var reply = await Replica(master, "nas").HelloAsync(hello with { Epoch = new Epoch(1) }, Cancellation);
        Assert.Equal((ReplicaOutcome.Refused, Contract.Id), (reply.Outcome, reply.Contract));
        Assert.Contains("the master 'old' runs another version of OrleansFs", reply.Trouble, StringComparison.Ordinal);
        reply = await Replica(master, "master").HelloAsync(hello, Cancellation);
        Assert.Equal((ReplicaOutcome.Fenced, Contract.Id, master.Host.Volume.Epoch), (reply.Outcome, reply.Contract, reply.Epoch));
    }

    [Fact]
    public void What_differs_is_said_in_one_line()
    {
        Assert.Null(Contract.Mismatch("the replica", Contract.Id));
        Assert.Contains("its contract is older", Contract.Mismatch("the replica", 0), StringComparison.Ordinal);
        Assert.Contains("its contract is 00000000000000ff", Contract.Mismatch("the replica", 255), StringComparison.Ordinal);
    }

    public void Dispose() => _folder.Dispose();

    private static IReplicaGrain Replica(RunningSilo by, string copy) => by.Host.Grains.GetGrain<IReplicaGrain>(new ReplicaKey(CopyName.Parse(copy)).ToString());
}
