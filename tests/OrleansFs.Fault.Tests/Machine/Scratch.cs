using System.Globalization;

namespace OrleansFs.Fault.Tests.Machine;

/// <summary>
/// A folder of one test. When it goes, everything under it goes: mounts, loop devices on its files, and the files. What a test run that was killed left behind is cleared away by the next.
/// </summary>
internal sealed class Scratch : IAsyncDisposable
{
    private const string Prefix = "orleansfs-fault-";
    private static int s_count;
    private static int s_swept;

    private Scratch(string path) => Path = path;

    public string Path { get; }

    public static async Task<Scratch> MakeAsync()
    {
        if (Interlocked.Exchange(ref s_swept, 1) == 0)
            await SweepAsync();
        string path = System.IO.Path.Combine(System.IO.Path.GetTempPath(), $"{Prefix}{Environment.ProcessId}-{Interlocked.Increment(ref s_count)}");
        Directory.CreateDirectory(path);
        return new Scratch(path);
    }

    public string Folder(string name) => Directory.CreateDirectory(System.IO.Path.Combine(Path, name)).FullName;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public ValueTask DisposeAsync() => AftermathAttribute.OfAsync(() => ClearAsync(Path));

    private static async Task SweepAsync()
    {
        foreach (string path in Directory.EnumerateDirectories(System.IO.Path.GetTempPath(), Prefix + "*"))
        {
            string owner = System.IO.Path.GetFileName(path)[Prefix.Length..].Split('-')[0];
            if (!int.TryParse(owner, NumberStyles.None, CultureInfo.InvariantCulture, out int pid) || Directory.Exists($"/proc/{pid}"))
                continue;
            try
            {
                await ClearAsync(path);
            }
            catch (DirectoryNotFoundException)
            {
                // Another run that begins now clears it away, too.
            }
        }
    }

    private static async Task ClearAsync(string path)
    {
        // The newest mount first: it may lie on an older one. Without the helper of its kind, which would look for the process that served it.
        foreach (string mount in Enumerable.Reverse(MountsUnder(path)))
            await Tool.TryRunAsync("/bin/umount", Limits.Tool, "--lazy", "--internal-only", mount);
        foreach (string device in await LoopDevice.UnderAsync(path))
            await Tool.TryRunAsync("/sbin/losetup", Limits.Tool, "--detach", device);
        Directory.Delete(path, recursive: true);
    }

    private static List<string> MountsUnder(string path) =>
        [.. System.IO.File.ReadLines("/proc/self/mountinfo").Select(line => line.Split(' ')[4]).Where(at => at.StartsWith(path + "/", StringComparison.Ordinal))];
}
