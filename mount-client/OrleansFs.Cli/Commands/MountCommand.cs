using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using OrleansFs.Cli.Control;
using OrleansFs.Cli.Output;
using OrleansFs.Fuse;
using OrleansFs.Hosting;
using OrleansFs.Hosting.Command;
using OrleansFs.Mount;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs mount</c>: serve a volume at a mount point until it is unmounted or a signal comes.</summary>
/// <remarks>
/// The end has one order, whoever asks for it: the mount goes, the control socket takes no more requests, the volume is committed and closed, and who waits for the unmount is told.
/// </remarks>
internal static class MountCommand
{
    public static Task<int> RunAsync(MountRequest request)
    {
        CheckMemory(request.Memory);
        return request.Background && request.ReadyHandle is null ? BackgroundStart.RunAsync(request) : ServeAsync(request);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task<int> ServeAsync(MountRequest request)
    {
        using var starter = BackgroundStart.Detach(request);
        try
        {
            using var log = OpenLog(request);
            await ServeLoggedAsync(request, starter, log);
            return ExitCode.Success;
        }
        catch (Exception failure) when (starter is { IsWaiting: true })
        {
            starter.Fail(Failure.Explain(failure) ?? $"the mount failed, and this is a bug: {failure.ToString().ReplaceLineEndings(" | ")}");
            return ExitCode.Failure;
        }
    }

    private static void CheckMemory(long memory)
    {
        // What there is for this process: a container may have less than the machine.
        long available = GC.GetGCMemoryInfo().TotalAvailableMemoryBytes;
        if (memory > available)
            throw new CommandException($"--memory {ByteSize.Format(memory)} is more than there is ({ByteSize.Format(available)})");
    }

    private static LineLog OpenLog(MountRequest request)
    {
        try
        {
            return new LineLog(request.LogFile, TimeProvider.System);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new CommandException($"the log file {request.LogFile} cannot be written: {failure.Message}", failure);
        }
    }

    /// <summary>A background process has no standard error: what ends it is in the log, or nowhere.</summary>
    private static async Task ServeLoggedAsync(MountRequest request, BackgroundStart? starter, LineLog log)
    {
        using var loggers = LoggerFactory.Create(logging => HostLogging.Configure(logging, request.Verbose).AddProvider(log));
        var logger = loggers.CreateLogger("Mount");
        UnhandledExceptionEventHandler lastWords = (_, failure) =>
        {
            logger.LogCritical(failure.ExceptionObject as Exception, "The process ends of a failure that nobody expected");
            log.Dispose();
        };
        AppDomain.CurrentDomain.UnhandledException += lastWords;
        try
        {
            await ServeAsync(request, starter, loggers);
        }
        catch (Exception failure) when (starter is { IsWaiting: false })
        {
            logger.LogCritical("The mount at {MountPoint} ended: {Reason}", request.MountPoint, Failure.Explain(failure) ?? failure.ToString());
            throw;
        }
        finally
        {
            AppDomain.CurrentDomain.UnhandledException -= lastWords;
        }
    }

    private static async Task ServeAsync(MountRequest request, BackgroundStart? starter, ILoggerFactory loggers)
    {
        using var signals = new StopSignals();
        Action<string> say = starter is null ? Console.Error.WriteLine : starter.Note;
        await MountPointCheck.PrepareAsync(request.MountPoint, request.DataFolder, say, signals.Token);
        IServedVolume volume = request.DataFolder is { } folder
            ? await FolderHandover.OpenAsync(folder, () => EmbeddedVolume.OpenAsync(request, folder, loggers, signals.Token), say, signals.Token)
            : await RemoteVolume.OpenAsync(request, loggers, signals.Token);
        await using (var ending = new Ending(volume))
        {
            // The silo joins its cluster while the kernel is asked for the mount. Both are there before it is said so; neither is left half-started.
            var silo = volume.StartAsync(signals.Token);
            MountControl? control = null;
            var mounting = MountedVolume.MountAsync(request.MountPoint, volume.OpenSession, Options(request, volume, () => control), loggers.CreateLogger("Mount"), signals.Token);
            await silo.ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            var mounted = await mounting;
            await using (mounted)
            {
                ending.Control = ControlServer.Start(volume.ControlFolder, control = new MountControl(volume, mounted, request), loggers.CreateLogger("Control"));
                await silo;
                string serving = $"mounted {volume.What} at {request.MountPoint} ({Transport(mounted.Statistics, request.IoUring)})";
                await using (ServiceNotification.Ready(Line))
                {
                    if (starter is null)
                        Console.WriteLine(Line());
                    else
                        starter.Succeed(Line());
                    await RunUntilGoneAsync(mounted, volume, signals);
                }
                ServiceNotification.Stopping();

                string Line() => volume.Notice is { } notice ? $"{serving}\n{notice}" : serving;
            }
        }
    }

    private static VolumeMountOptions Options(MountRequest request, IServedVolume volume, Func<MountControl?> control) => new()
    {
        HashFolder = !request.NoHashFolder,
        ListXattrs = request.ListXattrs,
        Reports = new FolderReports { Status = token => ReportAsync(control()?.StatusAsync(token)), Replicas = token => ReportAsync(control()?.ReplicasAsync(token)) },
        Source = volume.ControlFolder,
        Policy = volume.Policy,
        AllowOther = request.AllowOther,
        ReadOnly = volume.ReadOnly,
        AccessTimes = request.AccessTimes,
        IoUring = request.IoUring,
    };

    /// <summary>What the commands <c>status</c> and <c>replicas</c> print, for the files of these names in the folder.</summary>
    private static async ValueTask<string> ReportAsync(Task<ControlReply>? asked) => asked is null ? "the mount is not ready yet" : await asked switch
    {
        { Status: { } status } => StatusText.Render(status),
        { Replicas: { } replicas } => ReplicasText.Render(replicas, TimeProvider.System.GetUtcNow()),
        var reply => reply.Error ?? "",
    };

    private static string Transport(FuseStatistics statistics, IoUringMode wanted) => statistics.Transport == FuseTransport.IoUring ? "io_uring"
        : wanted == IoUringMode.On ? $"/dev/fuse; no io_uring: {statistics.IoUringUnavailable}"
        : "/dev/fuse";

    private static async Task RunUntilGoneAsync(MountedVolume mounted, IServedVolume volume, StopSignals signals)
    {
        await Task.WhenAny(mounted.Completion, signals.First);
        volume.AnnounceEnd();
        if (mounted.Completion.IsCompleted)
            return;
        // What is dirty in the kernel is written by the unmount, which may wait for a silo that is away.
        var orderly = mounted.UnmountAsync(UnmountMode.Orderly);
        if (await Task.WhenAny(orderly, signals.Second) == orderly)
        {
            var outcome = await orderly;
            if (outcome == UnmountOutcome.Unmounted)
                return;
            if (outcome == UnmountOutcome.Busy)
                await mounted.UnmountAsync(UnmountMode.Lazy);
            string? holders = outcome == UnmountOutcome.Detached && mounted.DeviceMinor is { } device ? MountHolders.Describe(mounted.MountPoint, device) : null;
            holders ??= $"{mounted.MountPoint} is in use; it is out of sight now and ends with its last user";
            await Console.Error.WriteLineAsync($"orleansfs: {holders}. A second signal cuts them off.");
            await Task.WhenAny(mounted.Completion, signals.Second);
        }
        // What cannot be cut off ends with this process.
        if (!mounted.Completion.IsCompleted)
            await mounted.UnmountAsync(UnmountMode.Abort);
    }

    /// <summary>What happens when the mount is gone, or never came to be.</summary>
    private sealed class Ending(IServedVolume volume) : IAsyncDisposable
    {
        public ControlServer? Control { get; set; }

        public async ValueTask DisposeAsync()
        {
            if (Control is null)
            {
                await volume.DisposeAsync();
                return;
            }
            using var control = Control;
            // Before the folder is let go: the next process may make a socket of the same name.
            await control.StopAsync();
            try
            {
                await volume.DisposeAsync();
                await control.EndAsync(null);
            }
            catch (Exception failure)
            {
                await control.EndAsync(Failure.Explain(failure) ?? failure.ToString());
                throw;
            }
        }
    }
}
