using OrleansFs.Fault.Tests.Machine;

namespace OrleansFs.Fault.Tests.Network;

/// <summary>
/// A clock that is wrong: a library that is loaded into a process and adds some seconds to the time of day that it is told, and to nothing else. Compiled when it is needed.
/// </summary>
/// <remarks>Namespaces of time shift the monotonic clocks only, and no machine's go wrong; Debian's libfaketime, which shifts the time of day, also takes waits with a time-out in hand, and .NET's end too early with it.</remarks>
internal static class WrongClock
{
    /// <summary>The environment variable that says by how many seconds.</summary>
    public const string Variable = "ORLEANSFS_FAULT_CLOCK_SECONDS";

    private const string Source = """
        #define _GNU_SOURCE
        #include <stdlib.h>
        #include <sys/syscall.h>
        #include <sys/time.h>
        #include <time.h>
        #include <unistd.h>
        static long ahead(void) { const char *text = getenv("ORLEANSFS_FAULT_CLOCK_SECONDS"); return text ? atol(text) : 0; }
        int clock_gettime(clockid_t id, struct timespec *at) {
            int result = (int)syscall(SYS_clock_gettime, id, at);
            if (result == 0 && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE)) at->tv_sec += ahead();
            return result;
        }
        int gettimeofday(struct timeval *at, void *zone) {
            struct timespec now; (void)zone; clock_gettime(CLOCK_REALTIME, &now);
            at->tv_sec = now.tv_sec; at->tv_usec = now.tv_nsec / 1000;
            return 0;
        }
        time_t time(time_t *at) { struct timespec now; clock_gettime(CLOCK_REALTIME, &now); if (at) *at = now.tv_sec; return now.tv_sec; }
        """;

    /// <summary>The library, once it was made.</summary>
    public static string Library { get; private set; } = "";

    public static async Task MakeAsync(Scratch scratch)
    {
        string source = scratch.File("wrong-clock.c"), library = scratch.File("wrong-clock.so");
        await File.WriteAllTextAsync(source, Source);
        await Tool.RunAsync("gcc", "-shared", "-fPIC", "-O1", "-o", library, source);
        Library = library;
    }
}
