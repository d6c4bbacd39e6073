using System.Globalization;
using System.Text;

namespace OrleansFs.Fuse.Mounting;

/// <summary>/proc/self/mountinfo.</summary>
internal static class MountTable
{
    /// <summary>A line of it.</summary>
    /// <param name="DeviceMinor">Names the connection under /sys/fs/fuse/connections.</param>
    /// <param name="MountPoint">Absolute path.</param>
    /// <param name="Type">fuse.orleansfs and the like.</param>
    internal readonly record struct Line(uint DeviceMinor, string MountPoint, string Type)
    {
        internal bool IsFuse => Type == "fuse" || Type.StartsWith("fuse.", StringComparison.Ordinal);
    }

    /// <summary>What is mounted at a path, the topmost mount; null where nothing is.</summary>
    internal static Line? At(string path)
    {
        Line? found = null;
        foreach (string text in File.ReadLines("/proc/self/mountinfo"))
        {
            if (Parse(text) is Line line && line.MountPoint == path)
                found = line;
        }
        return found;
    }

    /// <summary>"36 35 0:98 / /mnt rw,noatime shared:1 - fuse.orleansfs orleansfs rw,user_id=0": optional fields end at the lone hyphen.</summary>
    internal static Line? Parse(string text)
    {
        string[] fields = text.Split(' ');
        int hyphen = Array.IndexOf(fields, "-");
        if (hyphen < 6 || fields.Length < hyphen + 2)
            return null;
        string minor = fields[2][(fields[2].IndexOf(':', StringComparison.Ordinal) + 1)..];
        return uint.TryParse(minor, NumberStyles.None, CultureInfo.InvariantCulture, out uint number)
            ? new Line(number, Unescape(fields[4]), fields[hyphen + 1])
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
