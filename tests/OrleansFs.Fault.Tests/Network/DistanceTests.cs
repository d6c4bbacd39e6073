using Xunit;

namespace OrleansFs.Fault.Tests.Network;

/// <summary>Replicas that are apart from their master in time: by their clocks, by how far behind they are, by a slow line.</summary>
[Collection(NetworkCollection.Name)]
public sealed class DistanceTests(NetworkLab lab)
{
    private const int Mutations = 10_000;

    [Fact]
    public async Task Replicas_with_other_clocks_far_behind_or_on_a_slow_line_have_everything_in_the_end()
    {
        var random = Seed.Make();
        var hour = TimeSpan.FromHours(1);
        await using var volume = await NetworkVolume.MakeAsync(lab);
        await volume.StartMasterAsync();
        await Task.WhenAll(volume.StartReplicaAsync("nas", hour), volume.StartReplicaAsync("usb", -hour));
        await volume.WorkAWhileAsync(random);
        await volume.DrainAsync(2);
        var contact = volume.Replica("nas").GetProperty("lastContact").GetDateTimeOffset();
        Assert.True((DateTimeOffset.UtcNow - contact).Duration() < hour / 2, "the master does not tell by its own clock");

        // The slow line needs 16 s for the large file; the other replica has it at once, whatever the slow one does.
        string folder = Path.Combine(volume.MountPoint, "many");
        Directory.CreateDirectory(folder);
        byte[] large = new byte[8 << 20];
        random.NextBytes(large);
        await lab["usb"].SlowDownAsync(megabits: 4);
        await File.WriteAllBytesAsync(Path.Combine(folder, "large"), large, TestContext.Current.CancellationToken);
        await volume.DrainAsync(1);
        Assert.Equal(0, volume.Replica("nas").GetProperty("lagMutations").GetInt64());
        Assert.True(volume.Replica("usb").GetProperty("lagMutations").GetInt64() > 0, "the slow line was no slow one: this run proves nothing");
        await lab["usb"].HealAsync();
        await volume.DrainAsync(2);

        await volume.StopReplicaAsync("nas");
        for (int i = 0; i < Mutations; i++)
            File.WriteAllText(Path.Combine(folder, $"{i}"), $"{i}");
        await volume.UntilAsync("nas", "far behind", r => r.GetProperty("lagMutations").GetInt64() >= Mutations);
        await volume.StartReplicaAsync("nas", hour);
        await volume.DrainAsync(2);
        await volume.EndAsync("laptop", "nas", "usb");
    }

    /// <summary>A first copy over a slow line may take days: who comes meanwhile does not wait for that.</summary>
    [Fact]
    public async Task A_replica_joins_while_the_line_of_another_is_full()
    {
        var random = Seed.Make();
        await using var volume = await NetworkVolume.MakeAsync(lab);
        await volume.StartMasterAsync();
        await volume.StartReplicaAsync("usb");
        await volume.WorkAWhileAsync(random);
        await volume.DrainAsync(1);
        byte[] large = new byte[32 << 20];
        random.NextBytes(large);
        await lab["usb"].SlowDownAsync(megabits: 4);
        await File.WriteAllBytesAsync(Path.Combine(volume.MountPoint, "large"), large, TestContext.Current.CancellationToken);
        await volume.StartReplicaAsync("nas");
        await volume.DrainAsync(1);
        Assert.Equal(0, volume.Replica("nas").GetProperty("lagMutations").GetInt64());
        Assert.True(volume.Replica("usb").GetProperty("lagMutations").GetInt64() > 0, "the slow line was no slow one: this run proves nothing");
        await lab["usb"].HealAsync();
        await volume.DrainAsync(2);
        await volume.EndAsync("laptop", "nas", "usb");
    }
}
