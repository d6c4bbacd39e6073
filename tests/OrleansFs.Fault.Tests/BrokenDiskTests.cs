using OrleansFs.Fault.Tests.Device;
using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Fault.Tests.Work;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>The disk under the data folder begins to answer EIO: programs are told, nothing hangs, and what fsync had answered is there when the disk is well again.</summary>
public sealed class BrokenDiskTests
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
    [InlineData(true, "on")]
    [InlineData(false, "off")]
    public async Task What_was_synced_before_a_disk_failed_is_there_after_it_is_mended(bool writesFail, string ioUring)
    {
        Needs.LoopDevices();
        var random = Seed.Make();
        await using var scratch = await Scratch.MakeAsync();
        using var clock = Clock.Make(scratch.File("clock"));
        await using var pool = new WorkerPool();
        await using var stack = await PowerStack.MakeAsync(scratch, clock, Limits.DiskBytes, new TestLog());
        var options = new MountOptions { Data = Path.Combine(stack.Folder, "data"), MountPoint = scratch.Folder("mount"), IoUring = ioUring };
        Round round;
        await using (var mounted = await MountProcess.StartAsync(options))
        {
            foreach (var assignment in s_assignments)
                Assert.Equal(Errno.None, Sys.Mkdir(Path.Combine(options.MountPoint, assignment.Folder)));
            using (var root = Sys.Open(options.MountPoint, Sys.O_RDONLY | Sys.O_DIRECTORY))
                Assert.Equal(Errno.None, root.Sync());
            round = await pool.StartAsync(s_assignments, options.MountPoint, scratch.Folder("logs"), random.Next(), clock: null);
            await Task.Delay(TimeSpan.FromMilliseconds(random.Next(500, 3000)), TestContext.Current.CancellationToken);
            Assert.Empty(pool.Failures);
            Assert.Empty(mounted.Troubles);

            stack.Disk.Fault = writesFail ? DiskFault.Writes | DiskFault.Flushes : DiskFault.Flushes;
            var outcomes = await pool.EndAsync(tell: false, Limits.Told);
            Seed.Say($"{round.Steps} steps; then: {string.Join(", ", outcomes)}");
            // The log of the appending one may have become full before the disk failed.
            Assert.True(outcomes.Count >= s_assignments.Length - 1, "not all programs were told");
            Assert.All(outcomes, outcome => Assert.Matches("^(EIO|EROFS) ", outcome));
            await ExpectToldAsync(options, mounted);
        }
        stack.Disk.Fault = DiskFault.None;
        await stack.RemountAsync();
        await using (var again = await MountProcess.StartAsync(options))
        {
            var verdict = await round.VerifyAsync(options.MountPoint, long.MaxValue);
            verdict.ExpectNone();
            await Usable.WriteAgainAsync(options.MountPoint, random);
            await again.StopWellAsync();
            Assert.Empty(again.Troubles);
        }
        await Check.CleanAsync(options.Data, verifyData: true);
    }

    /// <summary>The volume says what is wrong with it, and ends when it is asked to: not as if nothing were, and not never.</summary>
    private static async Task ExpectToldAsync(MountOptions options, MountProcess mounted)
    {
        var status = await Tool.TryRunAsync(Programs.OrleansFs, Limits.Tool, "status", options.MountPoint);
        Assert.True(status.ExitCode == 0, status.Errors);
        Assert.Matches("(?m)^trouble +(?!none)", status.Output);
        var unmounted = await Tool.TryRunAsync(Programs.OrleansFs, Limits.MountEnd, "umount", options.MountPoint);
        Assert.Equal(1, unmounted.ExitCode);
        Assert.Single(unmounted.Errors.Split('\n', StringSplitOptions.RemoveEmptyEntries));
        Assert.Equal(1, await mounted.EndAsync());
        Assert.DoesNotContain(mounted.Lines, line => line.Contains("nhandled exception", StringComparison.Ordinal));
    }

    [Fact]
    public async Task A_disk_that_cannot_be_read_is_an_error_and_no_wrong_content()
    {
        Needs.LoopDevices();
        const int Files = 30;
        var random = Seed.Make();
        await using var scratch = await Scratch.MakeAsync();
        using var clock = Clock.Make(scratch.File("clock"));
        await using var stack = await PowerStack.MakeAsync(scratch, clock, Limits.DiskBytes, new TestLog());
        var options = new MountOptions { Data = Path.Combine(stack.Folder, "data"), MountPoint = scratch.Folder("mount") };
        var contents = Enumerable.Range(0, Files).Select(i => Content(random)).ToList();
        await using (var mounted = await MountProcess.StartAsync(options))
        {
            for (int i = 0; i < Files; i++)
                await File.WriteAllBytesAsync(Path.Combine(options.MountPoint, $"file{i}"), contents[i], TestContext.Current.CancellationToken);
            await mounted.StopWellAsync();
        }
        // Nothing of it is in memory any more.
        await stack.RemountAsync();
        await using (var mounted = await MountProcess.StartAsync(options))
        {
            stack.Disk.Fault = DiskFault.Reads;
            var errors = Enumerable.Range(0, Files).Select(i => Read(options, i, contents[i])).ToList();
            Seed.Say($"of {Files} files {errors.Count(e => e == Errno.EIO)} could not be read");
            Assert.All(errors, error => Assert.True(error is Errno.None or Errno.EIO, $"{error}"));
            Assert.Contains(Errno.EIO, errors);
            stack.Disk.Fault = DiskFault.None;
            Assert.All(Enumerable.Range(0, Files), i => Assert.Equal(Errno.None, Read(options, i, contents[i])));
            await mounted.StopWellAsync();
        }
        await Check.CleanAsync(options.Data, verifyData: true);
    }

    private static byte[] Content(Random random)
    {
        byte[] content = new byte[random.Next(10_000, 400_000)];
        random.NextBytes(content);
        return content;
    }

    private static Errno Read(MountOptions options, int number, byte[] expected)
    {
        var error = Sys.Open(Path.Combine(options.MountPoint, $"file{number}"), Sys.O_RDONLY | Sys.O_DIRECT, 0, out var file);
        using (file)
        {
            byte[] found = new byte[expected.Length];
            if (error == Errno.None)
                error = file.Read(0, found, out int _);
            if (error == Errno.None)
                Assert.True(found.AsSpan().SequenceEqual(expected), $"file{number} has other content");
            return error;
        }
    }
}
