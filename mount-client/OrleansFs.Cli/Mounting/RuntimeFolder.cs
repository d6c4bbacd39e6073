using System.Globalization;

namespace OrleansFs.Cli.Commands;

/// <summary>
/// A folder of this process that lives as long as it does, for the control socket of a mount that has no data folder: <c>/run/orleansfs/COPY.PID</c> for root, and the same under
/// <c>$XDG_RUNTIME_DIR</c> or <c>/tmp/orleansfs-UID</c> for others. What dead processes left there is taken away.
/// </summary>
internal sealed class RuntimeFolder : IDisposable
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;

    private RuntimeFolder(string path) => Path = path;

    public string Path { get; }

    /// <param name="name">What is mounted: one path component.</param>
    public static RuntimeFolder Create(string name)
    {
        string parent = Parent();
        Directory.CreateDirectory(parent, Private);
        if (File.GetUnixFileMode(parent) is var mode && (mode & ~Private) != 0)
            throw new CommandException($"{parent} is open to other users ({Convert.ToString((int)mode, 8)}): it must be this user's alone");
        Sweep(parent);
        string path = System.IO.Path.Combine(parent, string.Create(CultureInfo.InvariantCulture, $"{name}.{Environment.ProcessId}"));
        Directory.CreateDirectory(path, Private);
        return new RuntimeFolder(path);
    }

    public void Dispose() => Directory.Delete(Path, recursive: true);

    private static string Parent()
    {
        if (Environment.IsPrivilegedProcess)
            return "/run/orleansfs";
        return Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } runtime && Directory.Exists(runtime)
            ? System.IO.Path.Combine(runtime, "orleansfs")
            : $"/tmp/orleansfs-{Environment.UserName}";
    }

    private static void Sweep(string parent)
    {
        foreach (string folder in Directory.GetDirectories(parent))
        {
            string suffix = System.IO.Path.GetExtension(folder).TrimStart('.');
            if (!int.TryParse(suffix, NumberStyles.None, CultureInfo.InvariantCulture, out int id) || Directory.Exists($"/proc/{id}"))
                continue;
            try
            {
                Directory.Delete(folder, recursive: true);
            }
            catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
            {
                // Another process takes it away at the same moment; what cannot be taken away is in nobody's way.
            }
        }
    }
}
