using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Serialization;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Cli.Control;
using OrleansFs.Cli.Output;
using OrleansFs.Engine.Check;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs fsck</c>: checks a volume at rest. Exit codes as fsck(8): 0 clean, 1 mended, 4 faults are left, 8 the check itself failed, 16 usage, 32 interrupted.</summary>
internal static class CheckCommand
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static async Task<int> RunAsync(string data, bool repair, bool verifyData, bool json)
    {
        using var interrupt = new Interrupt();
        var options = new CheckOptions { DataFolder = data, Repair = repair, VerifyData = verifyData };
        var report = await FolderHandover.OpenAsync(data, () => CheckAsync(options, show: !json, interrupt.Token), Console.Error.WriteLine, interrupt.Token);
        if (json)
        {
            Console.WriteLine(JsonSerializer.Serialize(report, CheckJson.Default.CheckReport));
            return report.ExitCode;
        }
        foreach (var fault in report.Faults)
        {
            Console.WriteLine($"{(fault.Repaired ? "mended" : "fault")}: {fault.Description}");
            foreach (string path in fault.Paths)
                Console.WriteLine($"  part of {path}");
        }
        string verified = verifyData ? $", {ByteSize.Format(report.VerifiedBytes)} verified" : "";
        Console.WriteLine(report.FaultCount == 0
            ? $"clean: {report.Blocks} blocks{verified}"
            : $"{report.FaultCount} faults, {report.Repaired} mended: {report.Blocks} blocks{verified}");
        if (!repair && report.FaultCount > 0)
            Console.WriteLine("run it with --repair to mend what can be mended");
        return report.ExitCode;
    }

    private static Task<CheckReport> CheckAsync(CheckOptions options, bool show, CancellationToken cancellation) => WorkDisplay.RunAsync(
        show, progress => VolumeCheck.RunAsync(
            options, NullLoggerFactory.Instance, TimeProvider.System, new Relay<CheckStep>(s => progress.Report(new(s.Step, s.Done, s.Total))), cancellation));
}

/// <summary>What <c>fsck --json</c> prints.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(CheckReport))]
internal sealed partial class CheckJson : JsonSerializerContext;
