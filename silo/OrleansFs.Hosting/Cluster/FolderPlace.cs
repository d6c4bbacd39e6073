using System.ComponentModel;
using System.Runtime.InteropServices;

namespace OrleansFs.Hosting.Cluster;

/// <summary>Where a folder is, for it to be known again and to be told from a copy of it: its machine and its path.</summary>
internal static partial class FolderPlace
{
    private const int AtFdCwd = -100;
    private const uint StatxInode = 0x100;

    /// <summary>What systemd writes into an image that has not been started yet.</summary>
    private const string Uninitialized = "uninitialized";

    /// <param name="dataFolder">The folder, which is there.</param>
    /// <param name="machineIdFile">machine-id(5). A container has none, or an empty one, and its folder the same path as that of any other: there it is its host's name, and which folder of which file system it is.</param>
    /// <exception cref="IOException">The folder cannot be asked.</exception>
    public static string Of(string dataFolder, string machineIdFile)
    {
        string path = Path.GetFullPath(dataFolder);
        return $"{IdOf(machineIdFile) ?? $"{Environment.MachineName}/{NumberOf(path)}"}:{path}";
    }

    private static string? IdOf(string file)
    {
        try
        {
            return File.ReadAllText(file).Trim() is { Length: > 0 } id && id != Uninitialized ? id : null;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <summary>The file system by its own id, which is the same after a restart where a device number is not, and the folder by its inode.</summary>
    private static string NumberOf(string path)
    {
        if (statx(AtFdCwd, path, 0, StatxInode, out var file) != 0 || statvfs64(path, out var system) != 0)
            throw new IOException($"{path}: {new Win32Exception(Marshal.GetLastPInvokeError()).Message}");
        return $"{system.Id:x}.{file.Inode:x}";
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statx(int folder, string path, int flags, uint mask, out StatX result);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statvfs64(string path, out StatVfs result);

    /// <summary>Of <c>struct statx</c> (linux/stat.h), which is the same on every architecture.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 256)]
    private struct StatX
    {
        [FieldOffset(32)]
        public ulong Inode;
    }

    /// <summary>Of <c>struct statvfs64</c> of glibc on 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Explicit, Size = 112)]
    private struct StatVfs
    {
        [FieldOffset(64)]
        public ulong Id;
    }
}
