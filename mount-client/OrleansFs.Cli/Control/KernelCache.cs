using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OrleansFs.Cli.Control;

/// <summary>Has the kernel hand over what it still keeps of a file system.</summary>
internal static partial class KernelCache
{
    private const int O_DIRECTORY_CLOEXEC = 0x10000 | 0x80000;

    /// <summary>syncfs(2): dirty pages of all files below a mount point go to the process that serves it.</summary>
    /// <exception cref="CommandException">They could not be written.</exception>
    public static void WriteBack(string mountPoint)
    {
        using var folder = open(mountPoint, O_DIRECTORY_CLOEXEC);
        if (folder.IsInvalid || syncfs(folder) < 0)
            throw new CommandException($"{mountPoint}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int syncfs(SafeFileHandle folder);
}
