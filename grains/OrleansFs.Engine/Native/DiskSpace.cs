using System.ComponentModel;
using System.Runtime.InteropServices;

namespace OrleansFs.Engine.Native;

/// <summary>What statvfs(3) tells of the file system under a folder.</summary>
/// <param name="TotalBytes">All of it, bytes.</param>
/// <param name="FreeBytes">What this process can still write, bytes.</param>
/// <param name="FreeInodes">Files and folders that this process can still make; the most there can be where the file system makes inodes as it goes.</param>
internal readonly partial record struct DiskSpace(long TotalBytes, long FreeBytes, long FreeInodes)
{
    /// <exception cref="Win32Exception">The folder cannot be asked.</exception>
    public static DiskSpace Of(string folder)
    {
        if (statvfs64(folder, out var s) != 0)
            throw new Win32Exception(Marshal.GetLastPInvokeError(), $"statvfs of {folder} failed");
        long unit = (long)s.FragmentSize;
        bool all = Environment.IsPrivilegedProcess;
        return new DiskSpace((long)s.Blocks * unit, (long)(all ? s.Free : s.Available) * unit, s.Inodes == 0 ? long.MaxValue : (long)(all ? s.InodesFree : s.InodesAvailable));
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int statvfs64(string path, out StatVfs result);

    /// <summary><c>struct statvfs64</c> of glibc on 64-bit Linux.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct StatVfs
    {
        public ulong BlockSize;
        public ulong FragmentSize;
        public ulong Blocks;
        public ulong Free;
        public ulong Available;
        public ulong Inodes;
        public ulong InodesFree;
        public ulong InodesAvailable;
        public ulong FileSystemId;
        public ulong Flags;
        public ulong NameMax;
        private unsafe fixed int _spare[6];
    }
}
