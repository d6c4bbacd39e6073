using OrleansFs.Fault.Tests.Device;
using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Fault.Tests.Work;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>
/// The data folder lies on ext4 on a disk with a volatile cache. The volume is worked on; then the power is cut at many moments of that work, and what the disk would hold is mounted and compared.
/// </summary>
public sealed class PowerLossTests
{
    /// <summary>Moments at which one run is cut.</summary>
    private const int Cuts = 6;

    private static readonly Assignment[] s_assignments =
    [
        new("append", "append", 1),
        new("append", "append-same", 1),
        new("pages", "pages", 2),
        new("sectors", "sectors", 3),
        new("direct", "direct", 4),
        new("mapped", "mapped", 6),
        new("replace", "replace", 5),
        new("names", "names", 0),
        new("sqlite-wal", "wal", 0),
        new("sqlite-journal", "journal", 0),
    ];

    private static readonly string[] s_blockSizes = ["4KiB", "32KiB", "128KiB", "1MiB"];

    private static readonly string[] s_memory = ["16MiB", "32MiB", "256MiB"];

    [Theory]
    [InlineData("on", true)]
    [InlineData("off", false)]
    public async Task What_was_synced_survives_a_loss_of_power(string ioUring, bool hasNeighbour)
    {
        Needs.LoopDevices();
        var random = Seed.Make();
        // Only large blocks are synced by themselves.
        string blockSize = hasNeighbour ? "128KiB" : s_blockSizes[random.Next(s_blockSizes.Length)];
        string memory = s_memory[random.Next(s_memory.Length)];
        Seed.Say($"blocks of {blockSize}, {memory} of memory");
        await using var scratch = await Scratch.MakeAsync();
        var run = await PowerRun.RecordAsync(scratch, s_assignments, new MountOptions { Data = "", MountPoint = "", IoUring = ioUring, BlockSize = blockSize, Memory = memory }, random, hasNeighbour);
        int atRisk = 0;
        int lost = 0;
        int cuts = Seed.Rounds(Cuts);
        for (int i = 0; i < cuts; i++)
        {
            // The last moment once, where the disk was at work when all was cut; then, in turn, one with writes in the disk's cache and any.
            long position = i == 0 ? run.Disk.Position : i % 2 == 0 ? random.NextInt64(run.Begun, run.Disk.Position + 1) : run.Disk.PositionAtRisk(run.Begun, random);
            var outcome = await run.CutAsync(position, new LossModel(), random);
            Assert.True(outcome.Violations.Count == 0, $"power cut {i} at {position} of {run.Disk.Position}: {string.Join('\n', outcome.Violations)}");
            atRisk += outcome.AtRisk > 0 ? 1 : 0;
            lost += outcome.Lost > 0 ? 1 : 0;
        }
        Seed.Say($"{cuts} power cuts in {run.Disk.Position} writes and flushes, {run.Steps} steps: {atRisk} with writes in the disk's cache, {lost} cost unsynced work");
        Assert.True(atRisk >= cuts / 2, "too few cuts found anything in the disk's cache: this run proves nothing");
        Assert.True(lost > 0, "no cut cost anything that was unsynced: this run proves nothing");
    }

    /// <summary>The tests must see it where a disk breaks its promise; where they do not, they prove nothing of the one that keeps it.</summary>
    [Fact]
    public async Task A_disk_that_ignores_flushes_is_found_out()
    {
        Needs.LoopDevices();
        var random = Seed.Make();
        await using var scratch = await Scratch.MakeAsync();
        var run = await PowerRun.RecordAsync(scratch, s_assignments, new MountOptions { Data = "", MountPoint = "" }, random);
        for (int i = 0; i < Cuts; i++)
        {
            var outcome = await run.CutAsync(run.Disk.PositionAtRisk(run.Begun, random), new LossModel { IgnoresFlushes = true }, random);
            if (outcome.Violations.Count == 0)
                continue;
            Seed.Say($"found out by cut {i}: {outcome.Violations[0].Split('\n')[0]}");
            return;
        }
        Assert.Fail($"{Cuts} cuts of a disk that ignores flushes, and nothing was found missing");
    }
}
