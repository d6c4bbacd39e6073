using System.Runtime.InteropServices;

namespace OrleansFs.Mount;

/// <summary>
/// The clock by which the kernel stamps inodes (CLOCK_REALTIME_COARSE, which moves with the timer tick).
/// </summary>
/// <remarks>
/// With the write-back cache, times of a file come from two places: from the kernel when it is written, from the volume when it is made or read. A finer clock in the volume would be
/// ahead of the kernel's by up to a tick, and the modify time of a file that is written at once after it was made would go back.
/// </remarks>
public sealed partial class KernelTime : TimeProvider
{
    private const int CLOCK_REALTIME_COARSE = 5;
    private const long NanosecondsPerTick = 100;

    private KernelTime()
    {
    }

    public static KernelTime Instance { get; } = new();

    public override DateTimeOffset GetUtcNow() =>
        clock_gettime(CLOCK_REALTIME_COARSE, out var now) == 0
            ? DateTimeOffset.UnixEpoch.AddTicks((now.Seconds * TimeSpan.TicksPerSecond) + (now.Nanoseconds / NanosecondsPerTick))
            : base.GetUtcNow();

    [StructLayout(LayoutKind.Sequential)]
    private readonly struct Timespec
    {
        public readonly long Seconds;
        public readonly long Nanoseconds;
    }

    [LibraryImport("libc")]
    private static partial int clock_gettime(int clock, out Timespec now);
}
