using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Cli.Control;
using OrleansFs.Cli.Output;
using OrleansFs.Engine;
using OrleansFs.Engine.Export;
using OrleansFs.Mount;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs export</c>: copies what a former master has and nobody else out of its folder, which no process may be serving.</summary>
internal static class ExportCommand
{
    [MethodImpl(MethodImplOptions.NoInlining)]
    public static async Task<int> RunAsync(string data, string target, bool all)
    {
        using var interrupt = new Interrupt();
        using (var client = await ControlClient.TryConnectAsync(data, interrupt.Token))
        {
            if (client is not null)
                throw new CommandException($"{data} is being served: unmount it first");
        }
        var options = new VolumeOptions { DataFolder = data, ReadOnly = true, Create = false };
        await using var volume = await FolderHandover.OpenAsync(
            data, () => VolumeCopy.OpenAsync(options, NullLoggerFactory.Instance, KernelTime.Instance, interrupt.Token), Console.Error.WriteLine, interrupt.Token);
        var report = await WorkDisplay.RunAsync(
            show: !Console.IsErrorRedirected,
            progress => new VolumeExport(volume, target, new Relay<long>(files => progress.Report(new("copying files out", files, null)))).RunAsync(all, interrupt.Token));
        foreach (string problem in report.Problems)
            await Console.Error.WriteLineAsync($"orleansfs: {problem}");
        Console.WriteLine($"{report.Files} files ({ByteSize.Format(report.Bytes)}) and {report.Others} directories and links are in {Path.Combine(target, VolumeExport.FilesFolder)}; "
            + $"{Path.Combine(target, VolumeExport.ListFile)} says what was changed, and which {report.Removed} names were removed");
        return report.Problems.Count == 0 ? ExitCode.Success : ExitCode.Failure;
    }
}
