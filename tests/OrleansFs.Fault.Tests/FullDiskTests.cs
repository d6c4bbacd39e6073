using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Fault.Tests.Work;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>The disk under the data folder is filled through the mount, again and again: ENOSPC is said in time, nothing that was acknowledged is lost, and deleting files makes room.</summary>
public sealed class FullDiskTests
{
    [Theory]
    [InlineData("fill-large", false)]
    [InlineData("fill-small", true)]
    [InlineData("fill-sparse", true)]
    public async Task A_full_disk_loses_nothing_and_deleting_makes_room(string kind, bool killed)
    {
        Needs.LoopDevices();
        var random = Seed.Make();
        await using var scratch = await Scratch.MakeAsync();
        await using var pool = new WorkerPool();
        await using var disk = await LoopDevice.MakeAsync(scratch, Limits.SmallDiskBytes);
        var options = new MountOptions { Data = Path.Combine(disk.MountPoint, "data"), MountPoint = scratch.Folder("mount"), BlockSize = "128KiB" };
        var mounted = await MountProcess.StartAsync(options);
        try
        {
            for (int round = 0; round < 2; round++)
            {
                long shown = await SettledAsync(options.MountPoint);
                var both = await FillAsync(pool, kind, round, options.MountPoint, scratch, random);
                if (kind == "fill-large")
                    ExpectTrue(shown, both);
                if (killed)
                {
                    await mounted.KillAsync();
                    await mounted.DisposeAsync();
                    await Check.CleanAsync(options.Data, verifyData: true);
                    mounted = await MountProcess.StartAsync(options);
                }
                var verdict = await both.VerifyAsync(options.MountPoint, long.MaxValue);
                verdict.ExpectNone();
                Seed.Say($"{kind}, round {round}: full with {verdict.Checked} files");
                // Names go although there is no room for anything.
                Directory.Delete(both.Works[0].Path, recursive: true);
                await Usable.WriteAgainAsync(options.MountPoint, random);
                verdict = await new Round([both.Works[1]]).VerifyAsync(options.MountPoint, long.MaxValue);
                verdict.ExpectNone();
                Directory.Delete(both.Works[1].Path, recursive: true);
            }
            await mounted.StopWellAsync();
        }
        finally
        {
            await mounted.DisposeAsync();
        }
        await Check.CleanAsync(options.Data, verifyData: true);
        await disk.DetachAsync();
    }

    /// <summary>Bytes that the file which was deleted just before the filling may still have in memory, or in the redo log, when df is asked.</summary>
    private const long LetGo = 2 << 20;

    private static async Task<Round> FillAsync(WorkerPool pool, string kind, int round, string mountPoint, Scratch scratch, Random random)
    {
        Assignment[] both = [new(kind, $"goes{round}", random.Next(1000)), new(kind, $"stays{round}", random.Next(1000))];
        foreach (var assignment in both)
        {
            // The first time there is nothing to wait for; then what was deleted has to be collected first.
            await Usable.UntilAsync(() => Sys.Mkdir(Path.Combine(mountPoint, assignment.Folder)) == Errno.None, Limits.RoomAgain, "mkdir after deleting");
        }
        using (var root = Sys.Open(mountPoint, Sys.O_RDONLY | Sys.O_DIRECTORY))
            Assert.Equal(Errno.None, root.Sync());
        var filling = await pool.StartAsync(both, mountPoint, scratch.Folder("logs"), random.Next(), clock: null);
        var outcomes = await pool.EndAsync(tell: false, Limits.Fill);
        Assert.Equal(both.Length, outcomes.Count);
        Assert.All(outcomes, outcome => Assert.StartsWith("ENOSPC", outcome, StringComparison.Ordinal));
        return filling;
    }

    /// <summary>What df showed as free was there: all of it could be written, and no more.</summary>
    private static void ExpectTrue(long shown, Round filling)
    {
        long written = filling.Works.Sum(w => History.Read(w.Log, long.MaxValue).Ops.Where(o => o is { Verb: "f", IsDone: true }).Sum(o => (long)o.Int(2)));
        Assert.InRange(written, shown * 3 / 4, shown + LetGo);
    }

    /// <summary>What df shows as free when what was deleted before has been collected, which goes on behind the deleting: it does not become more any longer.</summary>
    private static async Task<long> SettledAsync(string mountPoint)
    {
        long shown = 0;
        for (long next; (next = Available(mountPoint)) > shown; shown = next)
            await Task.Delay(Limits.Collected);
        return shown;
    }

    private static long Available(string mountPoint)
    {
        var space = Sys.StatFs(mountPoint);
        return space.Available * space.Unit;
    }
}
