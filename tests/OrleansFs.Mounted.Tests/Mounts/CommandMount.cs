using OrleansFs.Fuse;
using OrleansFs.Mounted.Tests.Command;
using Xunit;

namespace OrleansFs.Mounted.Tests.Mounts;

/// <summary>A mount as users have it: the program in the background, with its silo and its engine.</summary>
internal sealed class CommandMount : ITestMount
{
    private readonly string _kind;
    private readonly string _data;
    private readonly string _log;

    private CommandMount(string kind, string data, string log, string path)
    {
        _kind = kind;
        _data = data;
        _log = log;
        Path = path;
    }

    public string Path { get; }

    public static async Task<ITestMount> StartAsync(MountKind kind, Func<string, string> scratch)
    {
        string folder = scratch("command");
        var mount = new CommandMount(kind.Name, System.IO.Path.Combine(folder, "data"), System.IO.Path.Combine(folder, "log"), scratch("mnt"));
        bool ring = kind.IoUring == IoUringMode.On;
        string line = await OrleansFsCommand.SucceedAsync(
            "mount", "--data", mount._data, mount.Path, "--memory", "32MiB", "--allow-other", "--io-uring", ring ? "on" : "off", "--background", "--log-file", mount._log);
        if (ring != line.Contains("(io_uring)", StringComparison.Ordinal))
        {
            await mount.StopAsync();
            Assert.Skip(line);
        }
        return mount;
    }

    /// <summary>Unmounts what a test that failed left mounted under a folder; gives what that was.</summary>
    public static async Task<IReadOnlyList<string>> EndLeftoversAsync(string folder)
    {
        var problems = new List<string>();
        foreach (string line in await File.ReadAllLinesAsync("/proc/self/mounts"))
        {
            string path = line.Split(' ')[1];
            if (!path.StartsWith(folder + "/", StringComparison.Ordinal))
                continue;
            var outcome = await OrleansFsCommand.RunAsync("umount", path);
            problems.Add($"{path} was left mounted; {outcome.All}");
        }
        return problems;
    }

    /// <summary>Unmounts, and has the volume checked to its last byte.</summary>
    public async Task<IReadOnlyList<string>> StopAsync()
    {
        var problems = new List<string>();
        string[][] commands = [["umount", Path], ["fsck", "--data", _data, "--verify-data"]];
        foreach (string[] command in commands)
        {
            var outcome = await OrleansFsCommand.RunAsync(command);
            if (outcome.ExitCode != 0)
                problems.Add($"orleansfs {string.Join(' ', command)}: {outcome.All}");
        }
        problems.AddRange(await File.ReadAllLinesAsync(_log));
        return [.. problems.Select(problem => $"{_kind}: {problem}")];
    }
}
