using System.ComponentModel;
using System.Runtime.InteropServices;

namespace OrleansFs.Engine.Native;

/// <summary>Anonymous memory by mmap(2): taken when touched, given back by madvise(2).</summary>
internal static unsafe partial class Memory
{
    private const int PROT_READ = 1;
    private const int PROT_WRITE = 2;
    private const int MAP_PRIVATE = 2;
    private const int MAP_ANONYMOUS = 0x20;
    private const int MAP_NORESERVE = 0x4000;
    private const int MADV_DONTNEED = 4;
    private const int MADV_HUGEPAGE = 14;

    /// <exception cref="Win32Exception">The address space is exhausted.</exception>
    public static void* Map(nuint length)
    {
        void* address = mmap(null, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        return (nint)address == -1 ? throw new Win32Exception(Marshal.GetLastPInvokeError(), $"mmap of {length} bytes failed") : address;
    }

    /// <summary>Asks for it in pages of 2 MiB where there are such (transparent huge pages, where the system leaves them to who asks): one fault for 512, when it is touched. A hint.</summary>
    public static void PreferHugePages(void* address, nuint length) => _ = madvise(address, length, MADV_HUGEPAGE);

    public static void Unmap(void* address, nuint length) => _ = munmap(address, length);

    /// <summary>Gives the memory back to the system; the addresses stay and read as zeros.</summary>
    public static void Discard(void* address, nuint length) => _ = madvise(address, length, MADV_DONTNEED);

    [LibraryImport("libc", SetLastError = true)]
    private static partial void* mmap(void* address, nuint length, int protection, int flags, int descriptor, long offset);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int munmap(void* address, nuint length);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int madvise(void* address, nuint length, int advice);
}
