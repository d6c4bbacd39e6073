using System.Diagnostics;
using System.Globalization;
using System.IO.Pipes;
using System.Runtime.InteropServices;
using System.Text;
using OrleansFs.Fuse;

namespace OrleansFs.Cli.Commands;

/// <summary>
/// A mount in the background: this program again, as a process of its own session without a terminal, that tells its starter over a pipe when the mount is usable or why it is not.
/// </summary>
internal sealed partial class BackgroundStart : IDisposable
{
    /// <summary>Names the pipe to the child. Not for people.</summary>
    public const string ReadyOption = "--ready-handle";

    private const string Usable = "usable";
    private const string Refused = "refused";
    private const string Remark = "remark ";
    private readonly AnonymousPipeClientStream _pipe;

    private BackgroundStart(AnonymousPipeClientStream pipe) => _pipe = pipe;

    /// <summary>The starter has not been told anything yet.</summary>
    public bool IsWaiting { get; private set; } = true;

    /// <summary>Starts the child and waits for its word, which becomes ours.</summary>
    public static async Task<int> RunAsync(MountRequest request)
    {
        using var pipe = new AnonymousPipeServerStream(PipeDirection.In, HandleInheritability.Inheritable);
        using var child = Process.Start(Child(request, pipe.GetClientHandleAsString()))
            ?? throw new CommandException("the background process could not be started");
        pipe.DisposeLocalCopyOfClientHandle();
        using var interrupt = new Interrupt();
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(interrupt.Token);
        patience.CancelAfter(Limits.BackgroundStartTimeout);
        using var reader = new StreamReader(pipe);
        try
        {
            string? outcome = await reader.ReadLineAsync(patience.Token);
            for (; outcome?.StartsWith(Remark, StringComparison.Ordinal) == true; outcome = await reader.ReadLineAsync(patience.Token))
                await Console.Error.WriteLineAsync(outcome[Remark.Length..]);
            string text = await reader.ReadToEndAsync(patience.Token);
            if (outcome == Usable)
            {
                await Console.Out.WriteLineAsync(text);
                return ExitCode.Success;
            }
            if (outcome == Refused)
                throw new CommandException(text);
            string lastWords = (await child.StandardError.ReadToEndAsync(patience.Token)).Trim().ReplaceLineEndings(" | ");
            string log = lastWords.Length > 0 ? lastWords : request.LogFile is { } file ? $"see {file}" : "--log-file FILE would say more";
            throw new CommandException($"the background process ended before {request.MountPoint} was usable; {log}");
        }
        catch (OperationCanceledException)
        {
            child.Kill();
            throw interrupt.Token.IsCancellationRequested
                ? new OperationCanceledException()
                : new CommandException($"{request.MountPoint} was not usable within {Limits.BackgroundStartTimeout}; given up");
        }
    }

    /// <summary>In the child: leaves the starter's session, terminal and folder. Null in the foreground.</summary>
    public static BackgroundStart? Detach(MountRequest request)
    {
        if (request.ReadyHandle is null)
            return null;
        var start = new BackgroundStart(new AnonymousPipeClientStream(PipeDirection.Out, request.ReadyHandle));
        if (setsid() < 0)
            throw new CommandException($"setsid: {Marshal.GetLastPInvokeErrorMessage()}");
        Directory.SetCurrentDirectory("/");
        using var nowhere = File.OpenHandle("/dev/null", FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite);
        for (int standard = 0; standard <= 2; standard++)
        {
            if (dup2((int)nowhere.DangerousGetHandle(), standard) < 0)
                throw new CommandException($"dup2: {Marshal.GetLastPInvokeErrorMessage()}");
        }
        return start;
    }

    /// <summary>A line for the starter's standard error, while it waits.</summary>
    public void Note(string line) => Write($"{Remark}{line}\n");

    public void Succeed(string line) => Tell(Usable, line);

    public void Fail(string line) => Tell(Refused, line);

    public void Dispose() => _pipe.Dispose();

    private void Tell(string outcome, string line)
    {
        IsWaiting = false;
        Write($"{outcome}\n{line}");
        _pipe.Dispose();
    }

    private void Write(string text)
    {
        try
        {
            _pipe.Write(Encoding.UTF8.GetBytes(text));
        }
        catch (IOException)
        {
            // The starter was killed. The mount is what it asked for and goes on.
        }
    }

    private static ProcessStartInfo Child(MountRequest request, string handle)
    {
        string program = Environment.ProcessPath ?? throw new CommandException("the path of this program is not known");
        // Pipes to us, which end with us. Our own streams would be held open by the console of the child as long as the mount lives, and who reads them would wait as long.
        var start = new ProcessStartInfo(program) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        if (Path.GetFileNameWithoutExtension(program) == "dotnet")
            start.ArgumentList.Add(Environment.GetCommandLineArgs()[0]);
        string[] arguments =
        [
            "mount", "--block-size", $"{request.BlockSize}", "--memory", $"{request.Memory}", "--io-uring", request.IoUring switch { IoUringMode.On => "on", IoUringMode.Off => "off", _ => "auto" },
            "--atime", AccessTimesOption.Word(request.AccessTimes),
            .. Named("--data", request.DataFolder),
            .. Named("--name", request.Name),
            .. Named("--cluster", request.Network.Cluster),
            .. Named("--copy", request.Copy),
            .. Named("--advertise", request.Network.Advertise),
            .. Named("--silo-port", request.Network.SiloPort?.ToString(CultureInfo.InvariantCulture)),
            .. Named("--gateway-port", request.Network.GatewayPort?.ToString(CultureInfo.InvariantCulture)),
            .. request.Replication.ToCommandLine(),
            .. request.ReadOnly ? ["--read-only"] : Array.Empty<string>(),
            .. request.AllowOther ? ["--allow-other"] : Array.Empty<string>(),
            .. request.ListXattrs ? ["--list-xattrs"] : Array.Empty<string>(),
            .. request.NoHashFolder ? ["--no-hash-folder"] : Array.Empty<string>(),
            .. request.Verbose ? ["--verbose"] : Array.Empty<string>(),
            .. Named("--log-file", request.LogFile),
            ReadyOption, handle, "--", request.MountPoint,
        ];
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        return start;
    }

    private static string[] Named(string option, string? value) => value is null ? [] : [option, value];

    [LibraryImport("libc", SetLastError = true)]
    private static partial int setsid();

    [LibraryImport("libc", SetLastError = true)]
    private static partial int dup2(int from, int to);
}
