using OrleansFs.Fault.Tests.Device;
using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Fault.Tests.Work;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>A volume that was worked on for some seconds, with the record of all that its disk was asked; to be cut wherever one likes.</summary>
internal sealed class PowerRun
{
    private static readonly TimeSpan s_work = TimeSpan.FromSeconds(4);
    private readonly Scratch _scratch;
    private readonly MountOptions _options;
    private readonly Round _round;
    private int _cuts;

    private PowerRun(Scratch scratch, MountOptions options, RecordingDisk disk, long begun, Round round)
    {
        _scratch = scratch;
        _options = options;
        Disk = disk;
        Begun = begun;
        _round = round;
    }

    public RecordingDisk Disk { get; }

    /// <summary>The position at which the work began: before it the disk made the volume.</summary>
    public long Begun { get; }

    public int Steps => _round.Steps;

    /// <summary>Works on a new volume, and ends with a loss of power.</summary>
    /// <param name="scratch">Where.</param>
    /// <param name="assignments">What is done.</param>
    /// <param name="options">Of the mount, but for its folders.</param>
    /// <param name="random">Seeds the work.</param>
    /// <param name="hasNeighbour">Whether another program has much to write meanwhile.</param>
    public static async Task<PowerRun> RecordAsync(Scratch scratch, IReadOnlyList<Assignment> assignments, MountOptions options, Random random, bool hasNeighbour = false)
    {
        var log = new TestLog();
        using var clock = Clock.Make(scratch.File("clock"));
        await using var pool = new WorkerPool();
        await using var stack = await PowerStack.MakeAsync(scratch, clock, Limits.DiskBytes, log);
        options = options with { Data = Path.Combine(stack.Folder, "data"), MountPoint = scratch.Folder("mount") };
        await using var mounted = await MountProcess.StartAsync(options);
        foreach (var assignment in assignments)
            Directory.CreateDirectory(Path.Combine(options.MountPoint, assignment.Folder));
        using (var root = Sys.Open(options.MountPoint, Sys.O_RDONLY | Sys.O_DIRECTORY))
            Assert.Equal(Model.Errno.None, root.Sync());
        await Tool.RunAsync("sync", "--file-system", stack.Folder);
        stack.Disk.StartRecording();
        long begun = stack.Disk.Position;
        await using var neighbour = hasNeighbour ? Neighbour.Start(scratch.File("neighbour")) : null;
        var round = await pool.StartAsync(assignments, options.MountPoint, scratch.Folder("logs"), random.Next(), clock.Path);
        await stack.Disk.RecordedAsync(Limits.RecordedBytes, s_work, TestContext.Current.CancellationToken);
        neighbour?.ExpectMuch();
        Assert.Empty(pool.Failures);
        stack.CutPower();
        await mounted.KillAsync();
        await pool.EndAsync(tell: false);
        Assert.Empty(mounted.Troubles);
        return new PowerRun(scratch, options, stack.Disk, begun, round);
    }

    /// <summary>Plays a loss of power at a position: mounts what is left of the disk, opens the volume, compares, and checks it through and through.</summary>
    public async Task<CutOutcome> CutAsync(long position, LossModel model, Random random)
    {
        var cut = Disk.Cut(position, model, random);
        string file = _scratch.File($"cut{++_cuts}.img");
        cut.Image.SaveTo(file);
        await using var loop = await LoopDevice.AttachAsync(file, _scratch.Folder("disk"));
        var violations = await VerifyAsync(loop, position);
        await loop.DetachAsync();
        File.Delete(file);
        return new CutOutcome(violations.Violations, cut.AtRisk, violations.Lost);
    }

    private async Task<Verdict> VerifyAsync(LoopDevice loop, long position)
    {
        try
        {
            await loop.MountAsync();
            Verdict verdict;
            await using (var mounted = await MountProcess.StartAsync(_options))
            {
                verdict = await _round.VerifyAsync(_options.MountPoint, position);
                int exit = await mounted.StopAsync();
                List<string> troubles = [.. mounted.Troubles, .. exit == 0 ? [] : new[] { $"the mount ended with {exit}" }];
                if (troubles.Count > 0)
                    verdict = verdict with { Violations = [.. verdict.Violations, .. troubles] };
            }
            await Check.CleanAsync(_options.Data, verifyData: true);
            return verdict;
        }
        catch (Exception e) when (e is ChildException or IOException or Xunit.Sdk.XunitException)
        {
            return new Verdict([e.Message], 0, 0);
        }
    }
}

/// <summary>How one loss of power ended.</summary>
/// <param name="Violations">What must not be.</param>
/// <param name="AtRisk">Writes that were in the disk's cache.</param>
/// <param name="Lost">Works that lost unsynced steps: which is allowed.</param>
internal sealed record CutOutcome(IReadOnlyList<string> Violations, int AtRisk, int Lost);
