using System.Runtime.InteropServices;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>System calls that only these tests make.</summary>
internal static unsafe partial class Native
{
    [LibraryImport("libc", SetLastError = true)]
    internal static partial nint mmap(nint address, nuint length, int protection, int flags, int fd, long offset);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int munmap(byte* address, nuint length);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int msync(byte* address, nuint length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    internal static partial int kill(int process, int signal);

    [LibraryImport("libc")]
    internal static partial nint memcpy(byte* to, byte* from, nuint count);
}
