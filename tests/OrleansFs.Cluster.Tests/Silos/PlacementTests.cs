using System.Diagnostics;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>Grains live on the silo of their copy, wherever they are called from.</summary>
public sealed class PlacementTests : IDisposable
{
    private readonly TestFolder _folder = new();

    private static CancellationToken Cancellation => RunningSilo.Cancellation;

    [Fact]
    public async Task Two_copies_in_one_cluster_are_told_apart_by_the_key_and_one_that_leaves_is_away()
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        await using var one = await RunningSilo.StartAsync(_folder["one"], "one", cluster);
        var two = await RunningSilo.StartAsync(_folder["two"], "two", cluster);
        var outside = await one.ConnectAsync();

        // From outside through either gateway, from the silo itself, and from the other silo.
        foreach (var grains in new[] { outside.Grains, one.Host.Grains, two.Host.Grains })
        {
            foreach (var silo in new[] { one, two })
            {
                var copy = await grains.GetGrain<ICopyGrain>(new CopyGrainKey(silo.Copy).ToString()).DescribeAsync(Cancellation);
                Assert.Equal(silo.Host.Volume.Id, copy.Value.Volume);
            }
        }
        Assert.Equal(["one", "two"], (await outside.ListCopiesAsync(Cancellation)).Select(c => c.Copy.Value).Order());
        await Assert.ThrowsAsync<VolumeConnectionException>(() => outside.FindCopyAsync(null, Cancellation));

        await two.DisposeAsync();
        var key = new CopyGrainKey(CopyName.Parse("two")).ToString();
        var away = await Assert.ThrowsAsync<CopyAwayException>(() => outside.Grains.GetGrain<ICopyGrain>(key).DescribeAsync(Cancellation).AsTask());
        Assert.Contains("'two' is away", away.Message, StringComparison.Ordinal);
        await Assert.ThrowsAsync<CopyAwayException>(() => one.Host.Grains.GetGrain<ICopyGrain>(key).DescribeAsync(Cancellation).AsTask());
        Assert.Equal(one.Copy, (await outside.FindCopyAsync(null, Cancellation)).Copy);
        one.Log.AssertQuiet();
        two.Log.AssertQuiet();
    }

    [Fact]
    public async Task A_second_silo_of_the_same_name_is_refused()
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        await using var one = await RunningSilo.StartAsync(_folder["one"], "one", cluster);
        var e = await Assert.ThrowsAsync<Hosting.HostException>(() => RunningSilo.StartAsync(_folder["other"], "one", cluster));
        Assert.Contains("another silo named 'one' is in the cluster", e.Message, StringComparison.Ordinal);
        Assert.False(File.Exists(_folder["other/silo.json"]));
    }

    /// <summary>A copy of a running folder, by rsync or a snapshot, has its silo.json too: that names a silo that lives.</summary>
    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_copy_of_a_masters_folder_does_not_take_its_place_under_any_name(bool withSiloFile)
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        await using var one = await RunningSilo.StartAsync(_folder["one"], "one", cluster);
        using (var copying = Process.Start("cp", ["-a", _folder["one"], _folder["two"]]))
            await copying.WaitForExitAsync(Cancellation);
        if (!withSiloFile)
            File.Delete(_folder["two/silo.json"]);
        var e = await Assert.ThrowsAsync<Hosting.HostException>(() => RunningSilo.StartAsync(_folder["two"], "one", cluster));
        Assert.Contains("another silo named 'one'", e.Message, StringComparison.Ordinal);
        e = await Assert.ThrowsAsync<Hosting.HostException>(() => RunningSilo.StartAsync(_folder["two"], "other", cluster));
        Assert.Contains("has a master already", e.Message, StringComparison.Ordinal);
        // Longer than a silo takes to notice that it was struck, and a master that another has claimed the volume.
        for (int i = 0; i < 10; i++)
        {
            await Task.Delay(TimeSpan.FromSeconds(1), Cancellation);
            Assert.Null(one.Host.ClusterTrouble);
            Assert.Null(one.Host.Volume.FencedBy);
        }
        one.Log.AssertQuiet();
    }

    /// <summary>A folder that was moved to another place is the master still, from when it has its name in the cluster.</summary>
    [Fact]
    public async Task A_folder_that_was_moved_is_its_volumes_master_there()
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        await (await RunningSilo.StartAsync(_folder["one"], "one", cluster)).DisposeAsync();
        Directory.Move(_folder["one"], _folder["two"]);
        await (await RunningSilo.StartAsync(_folder["two"], "one", cluster)).DisposeAsync();
        await using var renamed = await RunningSilo.StartAsync(_folder["two"], "other", cluster);
        Assert.Null(renamed.Host.ClusterTrouble);
        renamed.Log.AssertQuiet();
    }

    [Fact]
    public async Task A_key_of_another_volume_reaches_nothing()
    {
        await using var silo = await RunningSilo.StartAsync(_folder["one"]);
        var stranger = silo.Host.Grains.GetGrain<INamespaceGrain>(new NamespaceKey(VolumeId.New(), silo.Copy).ToString());
        Assert.Equal(Errno.ESTALE, (await stranger.GetStatusAsync(Cancellation)).Error);
        Assert.Equal(Errno.ENOTCONN, (await stranger.GetAttributesAsync(default, InodeNumber.Root, Cancellation)).Error);
    }

    public void Dispose() => _folder.Dispose();
}
