using System.Runtime.InteropServices;

namespace OrleansFs.Fuse;

/// <summary>A mount point as the mount table names it: absolute and without symbolic links.</summary>
public static partial class MountPath
{
    private const int MostLinks = 40; // as the kernel (MAXSYMLINKS)

    /// <summary>Follows what links there are on the way to a mount point, and at its end.</summary>
    /// <remarks>The last name of the path is never looked into, only read as a link: what is mounted there may be dead, and then answers nothing.</remarks>
    public static string Resolve(string path)
    {
        string full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(path));
        for (int i = 0; i < MostLinks; i++)
        {
            if (Path.GetDirectoryName(full) is { } folder && RealPath(folder) is { } real)
                full = Path.Combine(real, Path.GetFileName(full));
            if (new FileInfo(full).LinkTarget is not { } target)
                break;
            full = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target, Path.GetDirectoryName(full) ?? "/"));
        }
        return full;
    }

    private static string? RealPath(string path)
    {
        nint resolved = realpath(path, 0);
        try
        {
            return Marshal.PtrToStringUTF8(resolved);
        }
        finally
        {
            free(resolved);
        }
    }

    [LibraryImport("libc", StringMarshalling = StringMarshalling.Utf8)]
    private static partial nint realpath(string path, nint buffer);

    [LibraryImport("libc")]
    private static partial void free(nint memory);
}
