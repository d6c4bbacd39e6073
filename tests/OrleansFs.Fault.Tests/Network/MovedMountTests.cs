using System.Diagnostics;
using OrleansFs.Fault.Tests.Product;
using Xunit;

namespace OrleansFs.Fault.Tests.Network;

/// <summary>A mount over the network whose connections lead nowhere any more, without a word to it.</summary>
[Collection(NetworkCollection.Name)]
public sealed class MovedMountTests(NetworkLab lab)
{
    private const string NewAddress = "10.77.0.40";

    /// <summary>What is sent is not acknowledged for 20 s; then it is found out, and a new connection made.</summary>
    private static readonly TimeSpan s_soon = TimeSpan.FromSeconds(40);

    [Fact]
    public async Task A_mount_whose_machine_gets_another_address_goes_on_within_seconds()
    {
        await using var volume = await NetworkVolume.MakeAsync(lab);
        await volume.StartMasterAsync();
        var (mount, mountPoint) = await volume.MountAtAsync("nas");
        string address = lab["nas"].Address;
        await using (mount)
        {
            await File.WriteAllTextAsync(Path.Combine(mountPoint, "before"), "before", TestContext.Current.CancellationToken);
            try
            {
                await lab["nas"].MoveAsync(NewAddress);
                long began = Stopwatch.GetTimestamp();
                await Task.Run(() => File.WriteAllText(Path.Combine(mountPoint, "after"), "after"), TestContext.Current.CancellationToken).WaitAsync(s_soon, TestContext.Current.CancellationToken);
                TestContext.Current.SendDiagnosticMessage($"it went on after {Stopwatch.GetElapsedTime(began).TotalSeconds:0.0} s");
                Assert.Equal(0, await mount.TerminateAsync(Limits.MountEnd));
            }
            finally
            {
                await lab["nas"].MoveAsync(address);
            }
        }
        foreach (string name in new[] { "before", "after" })
            Assert.Equal(name, await File.ReadAllTextAsync(Path.Combine(volume.MountPoint, name), TestContext.Current.CancellationToken));
        await volume.EndAsync("laptop");
    }
}
