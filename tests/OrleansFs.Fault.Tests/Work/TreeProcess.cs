using System.Globalization;
using System.Security.Cryptography;
using OrleansFs.Mounted.Tests.Posix;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>A process that says all that a tree is, a line for each name: what two copies of a volume must agree on.</summary>
internal static class TreeProcess
{
    public static int Run(string root)
    {
        Describe(root, "");
        return 0;
    }

    private static void Describe(string root, string path)
    {
        string full = Path.Combine(root, path);
        var status = Sys.Stat(full);
        bool isFolder = (status.Mode & 0xF000) == 0x4000;
        string content = (status.Mode & 0xF000) switch
        {
            0x8000 => Hash(full),
            0xA000 when Sys.ReadLink(full, out string target) == Model.Errno.None => target,
            _ => "-",
        };
        _ = Sys.ListXattr(full, out string[] names);
        string xattrs = string.Join(' ', names.Order(StringComparer.Ordinal).Select(name => Sys.GetXattr(full, name, out byte[] value) == Model.Errno.None ? $"{name}={Convert.ToHexString(value)}" : name));
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
            $"/{path} mode {Convert.ToString(status.Mode, 8)} links {status.Links} owner {status.Uid}:{status.Gid} size {(isFolder ? 0 : status.Size)} modified {status.Modify} {content} {xattrs}"));
        if (!isFolder)
            return;
        foreach (string name in Directory.GetFileSystemEntries(full).Select(p => Path.GetFileName(p)).Order(StringComparer.Ordinal))
            Describe(root, Path.Combine(path, name));
    }

    private static string Hash(string path)
    {
        using var file = File.OpenRead(path);
        return Convert.ToHexString(SHA256.HashData(file));
    }
}
