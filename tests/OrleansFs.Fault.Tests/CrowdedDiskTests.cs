using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Fault.Tests.Work;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>Another program takes all the room on the disk under the data folder, also what the volume keeps for itself: the metadata cannot be committed, and blocks cannot be stored.</summary>
public sealed class CrowdedDiskTests
{
    private static readonly Assignment[] s_assignments =
    [
        new("append", "append", 1),
        new("pages", "pages", 2),
        new("direct", "direct", 4),
        new("replace", "replace", 5),
        new("names", "names", 0),
        new("sqlite-wal", "wal", 0),
    ];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Nothing_that_was_taken_is_lost_when_another_program_fills_the_disk(bool killed)
    {
        Needs.LoopDevices();
        var random = Seed.Make();
        await using var scratch = await Scratch.MakeAsync();
        await using var pool = new WorkerPool();
        await using var disk = await LoopDevice.MakeAsync(scratch, 2 * Limits.SmallDiskBytes);
        var options = new MountOptions { Data = Path.Combine(disk.MountPoint, "data"), MountPoint = scratch.Folder("mount") };
        Round round;
        await using (var mounted = await MountProcess.StartAsync(options))
        {
            foreach (var assignment in s_assignments)
                Assert.Equal(Errno.None, Sys.Mkdir(Path.Combine(options.MountPoint, assignment.Folder)));
            await Tool.RunAsync("sync", "--file-system", options.MountPoint);
            round = await pool.StartAsync(s_assignments, options.MountPoint, scratch.Folder("logs"), random.Next(), clock: null);
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(300, 1500)), TestContext.Current.CancellationToken);
            Assert.Empty(pool.Failures);
            disk.FillUpTo(0);
            var outcomes = await pool.EndAsync(tell: false, Limits.Told);
            Seed.Say($"{round.Steps} steps; then: {string.Join(", ", outcomes)}");
            // The log of the appending one may have become full before the disk did.
            Assert.True(outcomes.Count >= s_assignments.Length - 1, "not all programs were told");
            // SQLite's worker says EIO for whatever SQLite says.
            Assert.All(outcomes, outcome => Assert.Matches("^(ENOSPC|EIO (open|c):)", outcome));
            if (killed)
                await mounted.KillAsync();
            disk.MakeRoom();
            if (!killed)
            {
                await Usable.WriteAgainAsync(options.MountPoint, random);
                // The kernel says once what it could not write back; then all is as if nothing had been.
                await Tool.TryRunAsync("/bin/sync", Limits.Tool, "--file-system", options.MountPoint);
                await Tool.RunAsync("sync", "--file-system", options.MountPoint);
                await ExpectAsync(round, options.MountPoint, nothingLost: true);
                // syncfs(2) brings the kernel's pages to the volume, and no further.
                Usable.SyncAll(options.MountPoint);
                await mounted.KillAsync();
            }
        }
        await using (var again = await MountProcess.StartAsync(options))
        {
            // What was not killed was synced as soon as there was room.
            await ExpectAsync(round, options.MountPoint, nothingLost: !killed);
            await again.StopWellAsync();
            Assert.Empty(again.Troubles);
        }
        await Check.CleanAsync(options.Data, verifyData: true);
    }

    /// <summary>What was synced is there; and of what the volume itself had taken, which does not lie in the kernel's page cache, nothing is missing.</summary>
    private static async Task ExpectAsync(Round round, string mountPoint, bool nothingLost)
    {
        (await round.VerifyAsync(mountPoint, long.MaxValue)).ExpectNone();
        var taken = new Round([.. round.Works.Where(w => w.Assignment.Kind is "names" or "direct")]);
        int lost = (await taken.VerifyAsync(mountPoint, long.MaxValue)).Lost;
        Assert.True(!nothingLost || lost == 0, $"{lost} of {taken.Works.Count} lost steps that had been taken");
    }

    [Fact]
    public async Task A_volume_on_a_full_disk_can_be_mounted_read_and_made_smaller()
    {
        Needs.LoopDevices();
        var random = Seed.Make();
        await using var scratch = await Scratch.MakeAsync();
        await using var disk = await LoopDevice.MakeAsync(scratch, Limits.SmallDiskBytes);
        var options = new MountOptions { Data = Path.Combine(disk.MountPoint, "data"), MountPoint = scratch.Folder("mount") };
        byte[] content = new byte[3 << 20];
        random.NextBytes(content);
        await using (var mounted = await MountProcess.StartAsync(options))
        {
            await File.WriteAllBytesAsync(Path.Combine(options.MountPoint, "goes"), content.AsMemory(100), TestContext.Current.CancellationToken);
            await File.WriteAllBytesAsync(Path.Combine(options.MountPoint, "stays"), content, TestContext.Current.CancellationToken);
            await mounted.StopWellAsync();
        }
        disk.FillUpTo(1 << 20);
        await using (var mounted = await MountProcess.StartAsync(options))
        {
            Assert.Equal(content, await File.ReadAllBytesAsync(Path.Combine(options.MountPoint, "stays"), TestContext.Current.CancellationToken));
            Assert.Equal(Errno.ENOSPC, Sys.Create(Path.Combine(options.MountPoint, "new")));
            Assert.Equal(0, Sys.StatFs(options.MountPoint).Available);
            Assert.Equal(Errno.None, Sys.Unlink(Path.Combine(options.MountPoint, "goes")));
            await mounted.StopWellAsync();
        }
        disk.FillUpTo(0);
        var full = await Tool.TryRunAsync(Programs.OrleansFs, Limits.MountReady, [.. (options with { MountPoint = scratch.Folder("other") }).Arguments, "--background"]);
        Seed.Say($"with no byte left: {full.ExitCode} {full.Errors}");
        if (full.ExitCode == 0)
            await Tool.TryRunAsync(Programs.OrleansFs, Limits.MountEnd, "umount", scratch.Folder("other"));
        else
            Assert.Contains("make room", Assert.Single(full.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries)), StringComparison.Ordinal);
        disk.MakeRoom();
        await using (var mounted = await MountProcess.StartAsync(options))
        {
            Assert.Equal(content, await File.ReadAllBytesAsync(Path.Combine(options.MountPoint, "stays"), TestContext.Current.CancellationToken));
            Assert.False(File.Exists(Path.Combine(options.MountPoint, "goes")));
            await Usable.WriteAgainAsync(options.MountPoint, random);
            await mounted.StopWellAsync();
            Assert.Empty(mounted.Troubles);
        }
        await Check.CleanAsync(options.Data, verifyData: true);
    }
}
