using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using Xunit;

namespace OrleansFs.Fault.Tests.Network;

/// <summary>Hosts that cannot reach each other, in one direction or both, and a database of the cluster that cannot be reached: the master serves its mount, and everything is found again without help.</summary>
[Collection(NetworkCollection.Name)]
public sealed class PartitionTests(NetworkLab lab)
{
    [Fact]
    public async Task A_master_that_reaches_nobody_serves_its_mount_and_comes_back()
    {
        var random = Seed.Make();
        await using var volume = await NetworkVolume.MakeAsync(lab);
        await volume.StartMasterAsync();
        await Task.WhenAll(volume.StartReplicaAsync("nas"), volume.StartReplicaAsync("usb"));
        await volume.WorkAWhileAsync(random);
        await volume.DrainAsync(2);

        await volume.WorkAsync(random);
        await lab["laptop"].LoseAsync(Loss.Both, NetworkLab.Database, lab["nas"].Address, lab["usb"].Address);
        await Task.Delay(Limits.NetworkBurst, TestContext.Current.CancellationToken);
        await volume.RestAsync();
        await volume.UntilStruckAsync("laptop");
        await volume.UntilAwayAsync("nas");
        await volume.UntilAwayAsync("usb");
        await volume.WorkAWhileAsync(random);
        Assert.Contains("cannot be reached", (await volume.StatusAsync()).GetProperty("trouble").GetString(), StringComparison.Ordinal);
        Assert.True(await lab["laptop"].LostPacketsAsync() > 10, "no packet was lost: this run proves nothing");

        await volume.WorkAsync(random);
        await lab["laptop"].HealAsync();
        await volume.DrainAsync(2);
        await volume.RestAsync();
        await volume.SaidAsync("has lost its place in the cluster and takes it anew");
        await volume.DrainAsync(2);
        await volume.EndAsync("laptop", "nas", "usb");
    }

    /// <summary>One replica hears nothing of the master, of the other nothing is heard; then the cables of both are loose.</summary>
    [Fact]
    public async Task Packets_lost_in_one_direction_and_loose_cables_lose_nothing()
    {
        var random = Seed.Make();
        await using var volume = await NetworkVolume.MakeAsync(lab);
        await volume.StartMasterAsync();
        await Task.WhenAll(volume.StartReplicaAsync("nas"), volume.StartReplicaAsync("usb"));
        await volume.WorkAWhileAsync(random);
        await volume.DrainAsync(2);

        await lab["nas"].LoseAsync(Loss.Incoming, lab["laptop"].Address);
        await lab["usb"].LoseAsync(Loss.Outgoing, lab["laptop"].Address);
        await volume.WorkAWhileAsync(random);
        await volume.UntilAwayAsync("nas");
        await volume.UntilAwayAsync("usb");
        foreach (string name in new[] { "nas", "usb" })
        {
            Assert.True(await lab[name].LostPacketsAsync() > 0, $"{name} lost no packet: this run proves nothing");
            await lab[name].HealAsync();
        }
        await volume.DrainAsync(2);

        await volume.WorkAsync(random);
        for (int i = 0; i < 6; i++)
        {
            string name = i % 2 == 0 ? "nas" : "usb";
            await lab[name].PlugAsync(false);
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(50, 600)), TestContext.Current.CancellationToken);
            await lab[name].PlugAsync(true);
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(50, 300)), TestContext.Current.CancellationToken);
        }
        await volume.RestAsync();
        await volume.DrainAsync(2);
        await volume.EndAsync("laptop", "nas", "usb");
    }

    /// <summary>Silos that know each other go on without the database; one that is killed and started finds its place when it is back.</summary>
    [Fact]
    public async Task Without_the_database_of_the_cluster_replication_goes_on()
    {
        var random = Seed.Make();
        await using var volume = await NetworkVolume.MakeAsync(lab);
        await volume.StartMasterAsync();
        await volume.StartReplicaAsync("nas");
        await volume.DrainAsync(1);

        foreach (string name in new[] { "laptop", "nas" })
            await lab[name].LoseAsync(Loss.Both, NetworkLab.Database);
        await volume.WorkAWhileAsync(random);
        await volume.DrainAsync(1);
        await volume.KillMasterAsync();
        await volume.StartMasterAsync();
        await volume.SaidAsync("cannot be reached");
        await volume.VerifyWorkAsync(volume.MountPoint);
        await volume.WorkAWhileAsync(random);
        foreach (string name in new[] { "laptop", "nas" })
        {
            Assert.True(await lab[name].LostPacketsAsync() > 0, $"{name} lost no packet: this run proves nothing");
            await lab[name].HealAsync();
        }
        await volume.DrainAsync(1);
        await volume.EndAsync("laptop", "nas");
    }

    /// <summary>A laptop on a train: it is started with nothing in reach. A folder of which nobody knows whether it is the master's is not served that way.</summary>
    [Fact]
    public async Task A_master_is_started_where_nobody_can_be_reached()
    {
        var random = Seed.Make();
        await using var volume = await NetworkVolume.MakeAsync(lab);
        await lab["laptop"].LoseAsync(Loss.Both, NetworkLab.Database);
        var refused = await Assert.ThrowsAsync<ChildException>(() => volume.StartMasterAsync());
        Assert.Contains("can be started without it", refused.Message, StringComparison.Ordinal);
        await lab["laptop"].HealAsync();
        await volume.StartMasterAsync();
        await volume.StartReplicaAsync("nas");
        await volume.WorkAWhileAsync(random);
        await volume.DrainAsync(1);
        await volume.StopMasterAsync();

        await lab["laptop"].LoseAsync(Loss.Both, NetworkLab.Database, lab["nas"].Address);
        await volume.StartMasterAsync();
        await volume.VerifyWorkAsync(volume.MountPoint);
        await volume.WorkAWhileAsync(random);
        Assert.True(await lab["laptop"].LostPacketsAsync() > 0, "no packet was lost: this run proves nothing");
        await lab["laptop"].HealAsync();
        await volume.DrainAsync(1);
        Assert.Equal(System.Text.Json.JsonValueKind.Null, (await volume.StatusAsync()).GetProperty("trouble").ValueKind);
        await volume.EndAsync("laptop", "nas");
    }
}
