using System.Runtime.CompilerServices;
using System.Text.Encodings.Web;
using System.Text.Json;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Cli.Control;
using OrleansFs.Cli.Output;
using OrleansFs.Engine;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs status</c>: asks the process that serves the volume, or reads a folder that no process serves.</summary>
internal static class StatusCommand
{
    /// <summary>Paths as they are spelled: this JSON goes to a terminal or a parser, never into a web page.</summary>
    private static readonly JsonSerializerOptions s_readable = new(StatusJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static async Task<int> RunAsync(string? mountPoint, string? data, bool json, bool watch)
    {
        using var interrupt = new Interrupt();
        string folder = VolumeLocation.Of(mountPoint, data);
        bool redraw = watch && !json && !Console.IsOutputRedirected;
        while (true)
        {
            string text = Render(await ReadAsync(folder, interrupt.Token), json);
            // Home, the text with each line cleared to its end, and the rest of the screen cleared: no flicker.
            await Console.Out.WriteLineAsync(redraw ? $"\e[H{text.Replace("\n", "\e[K\n", StringComparison.Ordinal)}\e[K\e[J" : text);
            if (!watch)
                return ExitCode.Success;
            try
            {
                await Task.Delay(Limits.RefreshInterval, TimeProvider.System, interrupt.Token);
            }
            catch (OperationCanceledException)
            {
                return ExitCode.Success;
            }
        }
    }

    private static string Render(StatusReport report, bool json)
    {
        if (!json)
            return StatusText.Render(report);
        var document = JsonSerializer.SerializeToNode(report.Volume, StatusJson.Default.VolumeStatus)!.AsObject();
        document["mount"] = report.Mount is null ? null : JsonSerializer.SerializeToNode(report.Mount, StatusJson.Default.MountStatus);
        return document.ToJsonString(s_readable);
    }

    private static async Task<StatusReport> ReadAsync(string folder, CancellationToken cancellation)
    {
        using var client = await ControlClient.TryConnectAsync(folder, cancellation);
        if (client is null)
            return await ReadAtRestAsync(folder, cancellation);
        var reply = await client.AskOnceAsync(new(ControlRequest.CurrentVersion, ControlVerb.Status), cancellation);
        return reply.Status ?? throw new CommandException("the process that serves the volume answered something else");
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static async Task<StatusReport> ReadAtRestAsync(string folder, CancellationToken cancellation)
    {
        var options = new VolumeOptions { DataFolder = folder, ReadOnly = true, Create = false };
        await using var volume = await EmbeddedVolume.OpenAsync(options, NullLoggerFactory.Instance, cancellation);
        var status = await volume.StatusAsync(cancellation);
        return status.TryGet(out var value, out var error)
            ? new StatusReport(value with { ResidentBytes = null }, Mount: null)
            : throw new CommandException($"{folder} cannot be asked for its status: {error}");
    }
}
