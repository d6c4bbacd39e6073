using OrleansFs.Cli.Control;
using OrleansFs.Fuse;
using OrleansFs.Model;
using OrleansFs.Mount;

namespace OrleansFs.Cli.Commands;

/// <summary>What the control socket asks of a running mount.</summary>
internal sealed class MountControl(IServedVolume volume, MountedVolume mounted, MountRequest request) : IControlHandler
{
    private readonly DateTimeOffset _started = TimeProvider.System.GetUtcNow();

    public async Task<ControlReply> StatusAsync(CancellationToken cancellation)
    {
        var status = await volume.StatusAsync(cancellation);
        return status.TryGet(out var value, out var error)
            ? new ControlReply { Status = new StatusReport(value with { ResidentBytes = Environment.WorkingSet }, Mount()) }
            : new ControlReply { Error = $"the volume cannot be asked for its status: {error}" };
    }

    public Task<ControlReply> CollectAsync(bool dryRun, IProgress<WorkProgress> progress, CancellationToken cancellation) =>
        AnswerAsync(async () => new ControlReply { Collected = await volume.CollectAsync(dryRun, progress, cancellation) });

    public Task<ControlReply> ReplicasAsync(CancellationToken cancellation) => AnswerAsync(async () => new ControlReply { Replicas = await volume.ReplicasAsync(cancellation) });

    public Task<ControlReply> DrainAsync(int copies, Lsn? target, CancellationToken cancellation) =>
        AnswerAsync(async () => new ControlReply { Drain = await volume.DrainAsync(copies, target, cancellation) });

    public Task<ControlReply> VerifyAsync(string? copy, VerificationAction action, CancellationToken cancellation) =>
        AnswerAsync(async () => new ControlReply
        {
            Verifications = [.. (await volume.VerifyAsync(copy is null ? null : CopyNames.Parse("--copy", copy), action, cancellation)).Select(v => new VerificationOfCopy(v.Copy.Value, v.Report))],
        });

    public async Task<string?> UnmountAsync()
    {
        try
        {
            // What another mount shows still is unmounted here: who asked waits for its end, and is told of it.
            return await mounted.UnmountAsync(UnmountMode.Orderly) == UnmountOutcome.Busy
                ? $"{mounted.MountPoint} is in use; 'fuser -vm {mounted.MountPoint}' shows by whom"
                : null;
        }
        catch (FuseMountException failure)
        {
            return failure.Message;
        }
    }

    /// <summary>What the user can be told in one line is the answer; anything else is a bug, and is logged as one.</summary>
    private static async Task<ControlReply> AnswerAsync(Func<Task<ControlReply>> work)
    {
        try
        {
            return await work();
        }
        catch (Exception failure) when (failure is not OperationCanceledException && Failure.Explain(failure) is not null)
        {
            return new ControlReply { Error = Failure.Explain(failure) };
        }
    }

    private MountStatus Mount()
    {
        var statistics = mounted.Statistics;
        return new()
        {
            MountPoint = mounted.MountPoint,
            DataFolder = request.DataFolder,
            ProcessId = Environment.ProcessId,
            Version = ProgramVersion.Text,
            Transport = statistics.Transport == FuseTransport.IoUring ? "io_uring" : "device",
            ReadOnly = volume.ReadOnly,
            Started = _started,
            Requests = statistics.TotalRequests,
            KnownInodes = mounted.KnownNodes,
        };
    }
}
