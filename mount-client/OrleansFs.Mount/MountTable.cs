using System.Text;

namespace OrleansFs.Mount;

/// <summary>One line of the kernel's mount table.</summary>
/// <param name="Device">The file system's device as "major:minor".</param>
/// <param name="MountPoint">Absolute path.</param>
/// <param name="FileSystemType">For instance "fuse.orleansfs".</param>
/// <param name="Source">What mount(8) shows as the device.</param>
public sealed record MountEntry(string Device, string MountPoint, string FileSystemType, string Source);

/// <summary>The mount table of this process (/proc/self/mountinfo, proc_pid_mountinfo(5)). Reading it touches no mount: it cannot hang on a dead one.</summary>
public static class MountTable
{
    private const string Path = "/proc/self/mountinfo";

    /// <summary>The topmost mount at exactly this path; null where nothing is mounted there.</summary>
    public static MountEntry? At(string mountPoint)
    {
        string path = Normalize(mountPoint);
        return Read().LastOrDefault(entry => entry.MountPoint == path);
    }

    /// <summary>The mount that a path lies on.</summary>
    public static MountEntry? Containing(string path)
    {
        string full = Normalize(path);
        return Read()
            .Where(entry => full == entry.MountPoint || entry.MountPoint == "/" || full.StartsWith(entry.MountPoint + "/", StringComparison.Ordinal))
            .Aggregate((MountEntry?)null, (best, entry) => best is null || entry.MountPoint.Length >= best.MountPoint.Length ? entry : best);
    }

    /// <summary>All mounts, those below others first.</summary>
    public static IReadOnlyList<MountEntry> Read() => [.. File.ReadLines(Path).Select(Parse).OfType<MountEntry>()];

    /// <summary>A line, or null for one that is not of the form: a newer kernel's must not stop us.</summary>
    internal static MountEntry? Parse(string line)
    {
        // 36 35 98:0 /root /mnt rw,noatime optional-fields - fuse.orleansfs source super-options
        string[] fields = line.Split(' ');
        int separator = Array.IndexOf(fields, "-");
        return separator < 6 || separator + 2 >= fields.Length ? null : new(fields[2], Unescape(fields[4]), fields[separator + 1], Unescape(fields[separator + 2]));
    }

    /// <summary>The path with its parent's symbolic links resolved. The last component stays as it is: to resolve it would ask the mount itself.</summary>
    private static string Normalize(string path)
    {
        string full = System.IO.Path.TrimEndingDirectorySeparator(System.IO.Path.GetFullPath(path));
        return full;
    }

    /// <summary>Space, tab, newline and backslash are written as octal.</summary>
    private static string Unescape(string text)
    {
        if (!text.Contains('\\', StringComparison.Ordinal))
            return text;
        var plain = new StringBuilder(text.Length);
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && i + 3 < text.Length && text.AsSpan(i + 1, 3).IndexOfAnyExceptInRange('0', '7') < 0)
            {
                plain.Append((char)(((text[i + 1] - '0') << 6) | ((text[i + 2] - '0') << 3) | (text[i + 3] - '0')));
                i += 3;
            }
            else
            {
                plain.Append(text[i]);
            }
        }
        return plain.ToString();
    }
}
