using OrleansFs.Engine.Blocks;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs hash</c>: the content hash of local files, in the form of sha256sum(1).</summary>
internal static class HashCommand
{
    private const string StandardInput = "-";

    public static async Task<int> RunAsync(IReadOnlyList<string> files, long blockSize)
    {
        using var interrupt = new Interrupt();
        bool allRead = true;
        foreach (string file in files)
        {
            try
            {
                if (Directory.Exists(file))
                    throw new IOException("is a directory");
                if (file != StandardInput && !File.Exists(file))
                    throw new IOException("no such file");
                await using var stream = file == StandardInput
                    ? Console.OpenStandardInput()
                    : new FileStream(file, new FileStreamOptions { Options = FileOptions.SequentialScan | FileOptions.Asynchronous, BufferSize = 0 });
                var hash = await ContentHasher.HashAsync(stream, (int)blockSize, progress: null, interrupt.Token);
                await Console.Out.WriteLineAsync(Line(hash.ToString(), file));
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                await Console.Error.WriteLineAsync($"orleansfs: {file}: {failure.Message}");
                allRead = false;
            }
        }
        return allRead ? ExitCode.Success : ExitCode.Failure;
    }

    /// <summary>As sha256sum(1) writes it: a backslash in front where the name had to be escaped.</summary>
    internal static string Line(string hash, string name)
    {
        string escaped = name.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\n", "\\n", StringComparison.Ordinal).Replace("\r", "\\r", StringComparison.Ordinal);
        return $"{(escaped == name ? "" : "\\")}{hash}  {escaped}";
    }
}
