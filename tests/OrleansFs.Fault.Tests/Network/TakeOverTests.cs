using System.Globalization;
using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using Xunit;

namespace OrleansFs.Fault.Tests.Network;

/// <summary>A replica becomes the master while the one before it runs, is written to, and can be reached by nobody.</summary>
[Collection(NetworkCollection.Name)]
public sealed class TakeOverTests(NetworkLab lab)
{
    [Fact]
    public async Task A_former_master_that_was_cut_off_is_read_only_when_it_is_back_and_gives_out_what_only_it_has()
    {
        var random = Seed.Make();
        await using var volume = await NetworkVolume.MakeAsync(lab);
        await volume.StartMasterAsync();
        await Task.WhenAll(volume.StartReplicaAsync("nas"), volume.StartReplicaAsync("usb"));
        await volume.WorkAWhileAsync(random);
        await volume.DrainAsync(2);

        // What was drained is on the new master; what is written from here on is not, and is not lost either.
        await lab["laptop"].LoseAsync(Loss.Both, NetworkLab.Database, lab["nas"].Address, lab["usb"].Address);
        string only = Path.Combine(volume.MountPoint, "only-here");
        await File.WriteAllTextAsync(only, "of the laptop", TestContext.Current.CancellationToken);
        var writing = Task.Run(() => WriteUntilRefusedAsync(volume.MountPoint), TestContext.Current.CancellationToken);
        var promoted = await volume.PromoteAsync("nas");
        Assert.True(promoted.ExitCode == 0, promoted.Errors);
        Assert.False(writing.IsCompleted, "the old master was told of its fate although nobody could reach it");
        Assert.True(await lab["laptop"].LostPacketsAsync() > 0, "no packet was lost: this run proves nothing");

        await lab["laptop"].HealAsync();
        Assert.Equal("Read-only file system", await writing.WaitAsync(Limits.Noticed, TestContext.Current.CancellationToken));
        Assert.Contains("another copy is the master since epoch 2", (await volume.StatusAsync()).GetProperty("trouble").GetString(), StringComparison.Ordinal);
        await volume.VerifyWorkAsync(volume.MountPoint);
        Assert.Equal("of the laptop", await File.ReadAllTextAsync(only, TestContext.Current.CancellationToken));
        await Usable.UntilAsync(() => Newest() is (var master, "following") && master == "nas", Limits.Noticed, "the other replica follows the new master",
            () => volume.ReplicasOfClusterAsync("usb").Result.ToString(), Limits.DearLook);
        await volume.StopMasterAsync();
        await Check.CleanAsync(volume.Data("laptop"), verifyData: true);
        string rescued = lab.Scratch.File($"rescued{Random.Shared.Next()}");
        var exported = await Tool.TryRunAsync(Programs.OrleansFs, Limits.Check, "export", "--data", volume.Data("laptop"), rescued);
        Assert.True(exported.ExitCode == 0, exported.Errors);
        Assert.Equal("of the laptop", await File.ReadAllTextAsync(Path.Combine(rescued, "files", "only-here"), TestContext.Current.CancellationToken));
        await volume.EndAsync("nas", "usb");

        (string? Master, string? State) Newest()
        {
            var report = volume.ReplicasOfClusterAsync("usb").Result;
            return (report.GetProperty("master").GetString(), report.GetProperty("replicas").EnumerateArray().Where(r => r.GetProperty("name").GetString() == "usb").Select(r => r.GetProperty("state").GetString()).FirstOrDefault());
        }
    }

    /// <summary>A program that writes now and then, as long as it may.</summary>
    private static async Task<string> WriteUntilRefusedAsync(string mountPoint)
    {
        for (int i = 0; ; i++)
        {
            try
            {
                await File.WriteAllTextAsync(Path.Combine(mountPoint, "counter"), i.ToString(CultureInfo.InvariantCulture), TestContext.Current.CancellationToken);
                await Task.Delay(Limits.WriterPause, TestContext.Current.CancellationToken);
            }
            catch (IOException e)
            {
                return e.Message.StartsWith("Read-only file system", StringComparison.Ordinal) ? "Read-only file system" : e.Message;
            }
        }
    }
}
