using System.Globalization;
using System.Text;

namespace OrleansFs.Fuse;

/// <summary>A line of the mount table.</summary>
/// <param name="DeviceMinor">Names the connection under /sys/fs/fuse/connections and, behind "0:", its page cache under /sys/class/bdi.</param>
/// <param name="MountPoint">Absolute path.</param>
/// <param name="Type">"fuse.orleansfs" and the like.</param>
/// <param name="Source">What mount(8) shows as the device.</param>
public readonly record struct MountTableLine(uint DeviceMinor, string MountPoint, string Type, string Source)
{
    /// <summary>Whether it is a FUSE mount of any kind.</summary>
    public bool IsFuse => Type == "fuse" || Type.StartsWith("fuse.", StringComparison.Ordinal);
}

/// <summary>The mount table of this process (/proc/self/mountinfo, proc_pid_mountinfo(5)). To read it touches no mount, so that a dead one does no harm.</summary>
public static class MountTable
{
    /// <summary>What is mounted at a path, the topmost mount; null where nothing is.</summary>
    public static MountTableLine? At(string path) => At(path, "self");

    /// <summary>What another process sees mounted at a path; null where nothing is.</summary>
    /// <exception cref="IOException">It has ended.</exception>
    /// <exception cref="UnauthorizedAccessException">It is another user's.</exception>
    public static MountTableLine? At(string path, int process) => At(path, process.ToString(CultureInfo.InvariantCulture));

    /// <summary>Where a mount is to be seen, in the order of mounting: a bind mount shows it once more.</summary>
    /// <param name="deviceMinor">The mount, see <see cref="MountTableLine.DeviceMinor"/>.</param>
    public static IReadOnlyList<MountTableLine> Of(uint deviceMinor) => [.. Lines("self").Where(line => line.IsFuse && line.DeviceMinor == deviceMinor)];

    private static MountTableLine? At(string path, string process)
    {
        MountTableLine? found = null;
        foreach (var line in Lines(process))
        {
            if (line.MountPoint == path)
                found = line;
        }
        return found;
    }

    private static IEnumerable<MountTableLine> Lines(string process)
    {
        foreach (string text in File.ReadLines($"/proc/{process}/mountinfo"))
        {
            if (Parse(text) is { } line)
                yield return line;
        }
    }

    /// <summary>The mount that an absolute path lies on.</summary>
    public static MountTableLine? Containing(string path)
    {
        for (string? at = path; at is not null; at = Path.GetDirectoryName(at))
        {
            if (At(at) is { } line)
                return line;
        }
        return null;
    }

    /// <summary>Processes whose mount namespace has a mount, one for each namespace: what was unmounted here goes on being served for as long as another namespace has a copy of it (mount_namespaces(7)).</summary>
    /// <param name="deviceMinor">The mount, see <see cref="MountTableLine.DeviceMinor"/>.</param>
    public static IReadOnlyList<int> Holders(uint deviceMinor)
    {
        var holders = new Dictionary<string, int>();
        foreach (string folder in Directory.EnumerateDirectories("/proc"))
        {
            if (!int.TryParse(Path.GetFileName(folder), NumberStyles.None, CultureInfo.InvariantCulture, out int process))
                continue;
            try
            {
                string? space = File.ResolveLinkTarget($"{folder}/ns/mnt", returnFinalTarget: false)?.Name;
                if (space is null || holders.ContainsKey(space))
                    continue;
                if (File.ReadLines($"{folder}/mountinfo").Any(text => Parse(text) is { IsFuse: true } line && line.DeviceMinor == deviceMinor))
                    holders.Add(space, process);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                // It has ended meanwhile, or is another user's.
            }
        }
        return [.. holders.Values];
    }

    /// <summary>"36 35 0:98 / /mnt rw,noatime shared:1 - fuse.orleansfs orleansfs rw,user_id=0": optional fields end at the lone hyphen.</summary>
    internal static MountTableLine? Parse(string text)
    {
        string[] fields = text.Split(' ');
        int hyphen = Array.IndexOf(fields, "-");
        if (hyphen < 6 || fields.Length < hyphen + 3)
            return null;
        string minor = fields[2][(fields[2].IndexOf(':', StringComparison.Ordinal) + 1)..];
        return uint.TryParse(minor, NumberStyles.None, CultureInfo.InvariantCulture, out uint number)
            ? new MountTableLine(number, Unescape(fields[4]), fields[hyphen + 1], Unescape(fields[hyphen + 2]))
            : null;
    }

    /// <summary>Space, tab, newline and backslash are written as three octal digits.</summary>
    private static string Unescape(string text)
    {
        if (!text.Contains('\\', StringComparison.Ordinal))
            return text;
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        List<byte> plain = new(bytes.Length);
        for (int i = 0; i < bytes.Length; i++)
        {
            if (bytes[i] == '\\' && i + 3 < bytes.Length)
            {
                plain.Add((byte)(((bytes[i + 1] - '0') << 6) | ((bytes[i + 2] - '0') << 3) | (bytes[i + 3] - '0')));
                i += 3;
            }
            else
            {
                plain.Add(bytes[i]);
            }
        }
        return Encoding.UTF8.GetString([.. plain]);
    }
}
