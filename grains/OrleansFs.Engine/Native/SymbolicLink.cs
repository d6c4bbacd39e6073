using System.Runtime.InteropServices;
using System.Runtime.Versioning;

namespace OrleansFs.Engine.Native;

/// <summary>symlink(2) with a target of any bytes: the library's own takes text.</summary>
internal static partial class SymbolicLink
{
    /// <param name="path">Where the link is made.</param>
    /// <param name="target">What it says, without a NUL.</param>
    /// <exception cref="IOException">It cannot be made.</exception>
    [UnsupportedOSPlatform("windows")]
    public static void Make(string path, ReadOnlySpan<byte> target)
    {
        byte[] terminated = [.. target, 0];
        if (symlink(terminated, path) != 0)
            throw new IOException($"{path}: {Marshal.GetPInvokeErrorMessage(Marshal.GetLastPInvokeError())}");
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int symlink(byte[] target, string path);
}
