using OrleansFs.Client;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Cli.Control;

/// <summary>Who can be asked about a volume's replicas: the process of a mount, or the cluster.</summary>
internal interface IMaster : IAsyncDisposable
{
    /// <summary>The replicas, as the master has them.</summary>
    Task<MasterReport> ReplicasAsync(CancellationToken cancellation);

    /// <summary>A step of a drain: see <see cref="ICopyGrain.DrainAsync"/>.</summary>
    Task<DrainStep> DrainAsync(int copies, Lsn? target, CancellationToken cancellation);

    /// <summary>Begins or ends the verification of block files, of one copy or of all that are there, and tells how each stands.</summary>
    Task<IReadOnlyList<CopyVerification>> VerifyAsync(CopyName? copy, VerificationAction action, CancellationToken cancellation);
}

/// <summary>The process that serves a mount.</summary>
internal sealed class MountedMaster(string folder) : IMaster
{
    public async Task<MasterReport> ReplicasAsync(CancellationToken cancellation) =>
        (await AskAsync(new(ControlRequest.CurrentVersion, ControlVerb.Replicas), cancellation)).Replicas ?? throw Strange();

    public async Task<DrainStep> DrainAsync(int copies, Lsn? target, CancellationToken cancellation) =>
        (await AskAsync(new(ControlRequest.CurrentVersion, ControlVerb.Drain, Copies: copies, Target: target), cancellation)).Drain ?? throw Strange();

    public async Task<IReadOnlyList<CopyVerification>> VerifyAsync(CopyName? copy, VerificationAction action, CancellationToken cancellation) =>
        (await AskAsync(new(ControlRequest.CurrentVersion, ControlVerb.Verify, Copy: copy?.Value, Verification: action), cancellation)).Verifications?
            .Select(v => new CopyVerification(CopyName.Parse(v.Copy), v.Report)).ToList() ?? throw Strange();

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;

    private static CommandException Strange() => new("the process that serves the volume answered something else");

    private async Task<ControlReply> AskAsync(ControlRequest request, CancellationToken cancellation)
    {
        using var client = await ControlClient.TryConnectAsync(folder, cancellation) ?? throw new CommandException("the process that serves the mount is gone");
        return await client.AskOnceAsync(request, cancellation);
    }
}
