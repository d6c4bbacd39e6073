using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>The same random operations on a mount and on a plain local directory: every outcome is equal, and the trees at the end.</summary>
public sealed class RandomTests(MountPool mounts)
{
    private const int Operations = 3000;

    [Theory, OnEveryMount]
    public async Task A_mount_is_like_a_plain_directory(string kind)
    {
        int seed = Environment.TickCount;
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        var mounted = new RandomWorker(await mounts.EnterAsync(kind), seed);
        var plain = new RandomWorker(mounts.Scratch("plain"), seed);
        for (int i = 0; i < Operations; i++)
        {
            string expected = plain.Step();
            string seen = mounted.Step();
            Assert.True(expected == seen, $"seed {seed}, step {i}: {expected} on a plain directory, {seen} on the mount");
        }
        mounted.CloseAll();
        plain.CloseAll();
        string[] want = [.. TreeReader.Read(plain.Root)];
        string[] have = [.. TreeReader.Read(mounted.Root)];
        Assert.True(want.SequenceEqual(have), $"seed {seed}: {string.Join('\n', want.Except(have).Select(line => "- " + line).Concat(have.Except(want).Select(line => "+ " + line)))}");
    }
}

/// <summary>Does random operations in a directory; two workers of one seed do the same.</summary>
internal sealed class RandomWorker(string root, int seed)
{
    private const int MaxOpen = 8;
    private readonly Random _random = new(seed);
    private readonly List<FileDescriptor> _open = [];

    public string Root => root;

    /// <summary>Does one operation, and says what it was and came to.</summary>
    public string Step()
    {
        return _random.Next(100) switch
        {
            < 12 => Path(out string p) + $" create {Sys.Create(p, Permissions())}",
            < 18 => Path(out string p) + $" mkdir {Sys.Mkdir(p, Permissions() | 0x1C0)}",
            < 24 => Path(out string p) + $" unlink {Sys.Unlink(p)}",
            < 28 => Path(out string p) + $" rmdir {Sys.Rmdir(p)}",
            < 38 => Path(out string p) + Path(out string q) + $" rename {Sys.Rename(p, q, Flags())}",
            < 42 => Path(out string p) + Path(out string q) + $" link {Sys.Link(p, q)}",
            < 45 => Path(out string p) + $" symlink {Sys.Symlink($"target{_random.Next(9)}", p)}",
            < 47 => Path(out string p) + $" fifo {Sys.Mknod(p, Mode.S_IFIFO | Permissions())}",
            < 50 => Path(out string p) + $" chmod {Sys.Chmod(p, Permissions())}",
            < 52 => Path(out string p) + $" chown {Sys.Chown(p, (uint)_random.Next(3), (uint)_random.Next(3))}",
            < 55 => Path(out string p) + $" truncate {Sys.Truncate(p, Offset())}",
            < 58 => Path(out string p) + $" setxattr {Sys.SetXattr(p, $"user.{_random.Next(3)}", Bytes(50))}",
            < 60 => Path(out string p) + $" removexattr {Sys.RemoveXattr(p, $"user.{_random.Next(3)}")}",
            < 63 => Path(out string p) + " list " + List(p),
            < 66 => Path(out string p) + " stat " + TreeReader.Describe(p),
            < 72 => Open(),
            < 74 => Close(),
            _ => OnOpenFile(),
        };
    }

    public void CloseAll()
    {
        foreach (var fd in _open)
            fd.Dispose();
        _open.Clear();
    }

    private string Open()
    {
        string at = Path(out string path);
        int flags = Sys.O_RDWR | (_random.Next(2) * Sys.O_CREAT) | (_random.Next(4) == 0 ? Sys.O_TRUNC : 0) | (_random.Next(4) == 0 ? Sys.O_APPEND : 0) | Sys.O_NONBLOCK;
        if (_open.Count >= MaxOpen)
            return Close();
        var error = Sys.Open(path, flags, 0x1A4, out var fd);
        if (error == Errno.None)
            _open.Add(fd);
        return $"{at} open {flags:x} {error}";
    }

    private string Close()
    {
        if (_open.Count == 0)
            return "nothing to close";
        int index = _random.Next(_open.Count);
        var error = _open[index].Close();
        _open.RemoveAt(index);
        return $"close {error}";
    }

    private string OnOpenFile()
    {
        if (_open.Count == 0)
            return "nothing open";
        var fd = _open[_random.Next(_open.Count)];
        switch (_random.Next(9))
        {
            case 0 or 1 or 2:
                return $"write {fd.Write(Offset(), Bytes(_random.Next(3) == 0 ? 200_000 : 3000), out int written)} {written}";
            case 3 or 4:
                byte[] buffer = new byte[_random.Next(1, 100_000)];
                var error = fd.Read(Offset(), buffer, out int count);
                return $"read {error} {count} {Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(buffer.AsSpan(0, count)))}";
            case 5:
                return $"ftruncate {fd.Truncate(Offset())}";
            case 6:
                int[] modes = [0, Sys.FALLOC_FL_KEEP_SIZE, Sys.FALLOC_FL_KEEP_SIZE | Sys.FALLOC_FL_PUNCH_HOLE, Sys.FALLOC_FL_ZERO_RANGE];
                int mode = modes[_random.Next(modes.Length)];
                return $"fallocate {mode} {fd.Allocate(mode, Offset(), _random.Next(1, 300_000))}";
            case 7:
                return $"copy {fd.CopyTo(Offset(), _open[_random.Next(_open.Count)], Offset(), _random.Next(300_000), out long copied)} {copied}";
            default:
                return $"fsync {fd.Sync()}";
        }
    }

    /// <summary>One of few names, so that operations meet: up to three levels of a, b and c.</summary>
    private string Path(out string path)
    {
        string relative = string.Join('/', Enumerable.Range(0, _random.Next(1, 4)).Select(_ => ((char)('a' + _random.Next(4))).ToString()));
        path = $"{root}/{relative}";
        return relative + " ";
    }

    private uint Permissions() => (uint)_random.Next(0x200) | 0x180;

    private RenameFlags Flags() => _random.Next(8) switch { 0 => RenameFlags.NoReplace, 1 => RenameFlags.Exchange, _ => RenameFlags.None };

    /// <summary>Small ones, ones around the borders of blocks, and some far away.</summary>
    private long Offset() => _random.Next(4) switch { 0 => _random.Next(5000), 1 => (_random.Next(1, 8) * 131072) + _random.Next(-2, 3), 2 => _random.Next(1_000_000), _ => _random.Next(64) * 4096 };

    private byte[] Bytes(int most)
    {
        byte[] bytes = new byte[_random.Next(most)];
        _random.NextBytes(bytes);
        return bytes;
    }

    private static string List(string path)
    {
        if (Sys.Open(path, Sys.O_RDONLY | Sys.O_DIRECTORY, 0, out var fd) is var error && error != Errno.None)
            return error.ToString();
        using (fd)
            return string.Join(',', fd.Entries().Order(StringComparer.Ordinal));
    }
}

/// <summary>A tree as lines of text, without what two file systems may have differently: inode numbers, times, allocated space and the sizes of directories.</summary>
internal static class TreeReader
{
    public static IEnumerable<string> Read(string root)
    {
        foreach (string name in Sys.List(root).Order(StringComparer.Ordinal))
        {
            string path = $"{root}/{name}";
            yield return $"{name} {Describe(path)}";
            if (Mode.IsDirectory(Sys.Stat(path).Mode))
            {
                foreach (string line in Read(path))
                    yield return $"{name}/{line}";
            }
        }
    }

    public static string Describe(string path)
    {
        var error = Sys.Stat(path, out var status);
        if (error != Errno.None)
            return error.ToString();
        string text = $"{status.Mode:x} {status.Links} {status.Uid}:{status.Gid}";
        if (Mode.IsDirectory(status.Mode))
            return text + Xattrs(path);
        text += $" {status.Size}{Xattrs(path)}";
        if (Mode.IsSymlink(status.Mode))
            return text + (Sys.ReadLink(path, out string target) == Errno.None ? " -> " + target : " unreadable");
        return Mode.IsRegular(status.Mode) ? $"{text} {Convert.ToHexString(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes(path)))}" : text;
    }

    private static string Xattrs(string path)
    {
        Sys.ListXattr(path, out string[] names);
        return string.Concat(names.Where(name => name.StartsWith("user.", StringComparison.Ordinal))
            .Select(name => $" {name}={(Sys.GetXattr(path, name, out byte[] value) == Errno.None ? Convert.ToHexString(value) : "?")}"));
    }
}
