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
