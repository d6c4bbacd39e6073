using System.Runtime.InteropServices;

namespace OrleansFs.Engine.Native;

/// <summary>The processor time that a thread has taken: clock_gettime(2). What others take meanwhile, and waits, do not count.</summary>
internal static partial class ThreadTime
{
    private const int CLOCK_THREAD_CPUTIME_ID = 3;

    /// <summary>Of the calling thread, since it began.</summary>
    public static TimeSpan Now => clock_gettime(CLOCK_THREAD_CPUTIME_ID, out var time) == 0 ? TimeSpan.FromSeconds(time.Seconds) + TimeSpan.FromTicks(time.Nanoseconds / TimeSpan.NanosecondsPerTick) : TimeSpan.Zero;

    [LibraryImport("libc")]
    private static partial int clock_gettime(int clock, out Time time);

    /// <summary>struct timespec.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Time
    {
        public readonly long Seconds;
        public readonly long Nanoseconds;
    }
}
