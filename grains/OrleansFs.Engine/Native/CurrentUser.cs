using System.Runtime.InteropServices;

namespace OrleansFs.Engine.Native;

/// <summary>Who runs this process, as the kernel counts it (credentials(7): the effective ids).</summary>
internal static partial class CurrentUser
{
    public static uint Uid => geteuid();

    public static uint Gid => getegid();

    [LibraryImport("libc")]
    private static partial uint geteuid();

    [LibraryImport("libc")]
    private static partial uint getegid();
}
