using System.Runtime.InteropServices;

namespace OrleansFs.Engine.Native;

/// <summary>Work that takes what others leave, or stands back behind them: of the processor by setpriority(2), of the disk by ioprio_set(2). Hints: what a system does not know it does without.</summary>
internal static partial class IdlePriority
{
    private const int PRIO_PROCESS = 0;
    private const int Nicest = 19;
    private const int Nice = 10;
    private const int IOPRIO_WHO_PROCESS = 1;
    private const int IOPRIO_CLASS_IDLE = 3 << 13;

    // The number differs between architectures (asm/unistd.h of the kernel).
    private static readonly long s_ioprioSet = RuntimeInformation.ProcessArchitecture == Architecture.X64 ? 251 : 30;

    /// <summary>Runs work on a thread of its own, which nobody else is ever served by. It ends with the work.</summary>
    public static Task<T> RunAsync<T>(Func<T> work, CancellationToken cancellation) =>
        Task.Factory.StartNew(
            () =>
            {
                _ = setpriority(PRIO_PROCESS, 0, Nicest);
                _ = syscall(s_ioprioSet, IOPRIO_WHO_PROCESS, 0, IOPRIO_CLASS_IDLE);
                return work();
            },
            cancellation, TaskCreationOptions.LongRunning | TaskCreationOptions.DenyChildAttach, TaskScheduler.Default);

    /// <summary>From now on this thread gets a tenth of a processor that others want too.</summary>
    public static void StandBack() => _ = setpriority(PRIO_PROCESS, 0, Nice);

    /// <summary>On Linux, of the calling thread alone.</summary>
    [LibraryImport("libc")]
    private static partial int setpriority(int which, int who, int priority);

    [LibraryImport("libc")]
    private static partial long syscall(long number, long which, long who, long priority);
}
