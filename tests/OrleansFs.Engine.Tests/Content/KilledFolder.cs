using System.Diagnostics;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>What a SIGKILL would leave of a data folder that is in use: its files as they all are at one moment.</summary>
internal static class KilledFolder
{
    private const int Attempts = 200;

    /// <summary>Copies a folder into a new one of this prefix. A copy during which a file of the metadata changed is of no moment that there was, and is made anew.</summary>
    public static string Copy(string folder, string prefix)
    {
        for (int attempt = 1; ; attempt++)
        {
            string target = Directory.CreateTempSubdirectory(prefix).FullName;
            string before = StateOf(folder);
            using var cp = Process.Start(new ProcessStartInfo("cp", ["-a", folder + "/.", target]) { RedirectStandardError = true })!;
            string trouble = cp.StandardError.ReadToEnd();
            cp.WaitForExit();
            if (cp.ExitCode == 0 && StateOf(folder) == before)
                return target;
            Directory.Delete(target, recursive: true);
            Assert.True(attempt < Attempts, $"{folder} changes all the time: {trouble}");
            Thread.Sleep(5);
        }
    }

    /// <summary>All files of the folder itself, but the index that SQLite makes anew of its log.</summary>
    private static string StateOf(string folder) => string.Join('\n', new DirectoryInfo(folder).EnumerateFiles()
        .Where(f => !f.Name.EndsWith("-shm", StringComparison.Ordinal)).OrderBy(f => f.Name, StringComparer.Ordinal).Select(Describe));

    private static string Describe(FileInfo file)
    {
        try
        {
            return $"{file.Name} {file.Length} {file.LastWriteTimeUtc.Ticks}";
        }
        catch (FileNotFoundException)
        {
            return $"{file.Name} gone";
        }
    }
}
