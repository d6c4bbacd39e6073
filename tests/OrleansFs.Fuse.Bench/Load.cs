using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace OrleansFs.Fuse.Bench;

/// <summary>What a program does on the mount, by bare system calls.</summary>
internal static unsafe partial class Load
{
    internal static readonly string[] Names = ["stat", "open", "create", "unlink", "read4k", "write4k", "stat-2-threads"];

    private const int Files = 1000;
    private const int ReadWriteCreate = 0x42; // O_RDWR | O_CREAT
    private const int Direct = 0x4000; // O_DIRECT on x86-64: past the page cache

    internal static int Run(string mountPoint, string work, TimeSpan length)
    {
        nint path = Path($"{mountPoint}/file");
        nint[] names = [.. Enumerable.Range(0, Files).Select(i => Path($"{mountPoint}/f{i}"))];
        byte* data = (byte*)NativeMemory.AlignedAlloc(4096, 4096);
        int fd = Open(path, ReadWriteCreate, 0x1A4);
        int direct = Open(path, Direct, 0);
        _ = Write(fd, data, 4096, 0);
        long offset = 0;
        double rate = work switch
        {
            "stat" => Measure(length, () => Stat(path)),
            "stat-2-threads" => InParallel(2, () => Measure(length, () => Stat(path))),
            "open" => Measure(length, () => Close(Open(path, 0, 0))),
            "create" => MeasureFiles(length, true, i => Close(Open(names[i], ReadWriteCreate, 0x1A4)), i => Unlink(names[i])),
            "unlink" => MeasureFiles(length, false, i => Unlink(names[i]), i => Close(Open(names[i], ReadWriteCreate, 0x1A4))),
            "read4k" => Measure(length, () => (int)Read(direct, data, 4096, 0) - 4096),
            "write4k" => Measure(length, () => (int)Write(fd, data, 4096, offset = (offset + 4096) % (1 << 24)) - 4096),
            _ => throw new ArgumentException(work),
        };
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{work,-16} {rate,12:N0}/s {1e6 / rate,8:F1} us"));
        return 0;
    }

    private static double Measure(TimeSpan length, Func<int> operation)
    {
        for (int i = 0; i < 2000; i++)
            Check(operation());
        long count = 0;
        long start = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(start) < length)
        {
            for (int i = 0; i < 50; i++)
                Check(operation());
            count += 50;
        }
        return count / Stopwatch.GetElapsedTime(start).TotalSeconds;
    }

    /// <summary>Times one operation on each file, and not the other that prepares or undoes it.</summary>
    private static double MeasureFiles(TimeSpan length, bool timedFirst, Func<int, int> timed, Func<int, int> untimed)
    {
        long count = 0;
        TimeSpan spent = TimeSpan.Zero;
        while (spent < length / 2)
        {
            for (int i = 0; i < Files && !timedFirst; i++)
                Check(untimed(i));
            long start = Stopwatch.GetTimestamp();
            for (int i = 0; i < Files; i++)
                Check(timed(i));
            spent += Stopwatch.GetElapsedTime(start);
            count += Files;
            for (int i = 0; i < Files && timedFirst; i++)
                Check(untimed(i));
        }
        return count / spent.TotalSeconds;
    }

    private static double InParallel(int threads, Func<double> measure)
    {
        double[] rates = new double[threads];
        Thread[] all = [.. Enumerable.Range(0, threads).Select(i => new Thread(() => rates[i] = measure()))];
        Array.ForEach(all, t => t.Start());
        Array.ForEach(all, t => t.Join());
        return rates.Sum();
    }

    private static void Check(int result)
    {
        if (result != 0)
            throw new IOException($"a system call answered {result}, errno {Marshal.GetLastPInvokeError()}");
    }

    private static nint Path(string path) => Marshal.StringToCoTaskMemUTF8(path);

    private static int Stat(nint path)
    {
        byte* stat = stackalloc byte[256];
        return StatX(-100, path, 0, 0x7FF, stat);
    }

    [LibraryImport("libc", EntryPoint = "statx", SetLastError = true)]
    private static partial int StatX(int directory, nint path, int flags, uint mask, byte* stat);

    [LibraryImport("libc", EntryPoint = "open", SetLastError = true)]
    private static partial int Open(nint path, int flags, uint mode);

    [LibraryImport("libc", EntryPoint = "close", SetLastError = true)]
    private static partial int Close(int fd);

    [LibraryImport("libc", EntryPoint = "unlink", SetLastError = true)]
    private static partial int Unlink(nint path);

    [LibraryImport("libc", EntryPoint = "pread", SetLastError = true)]
    private static partial nint Read(int fd, byte* buffer, nuint count, long offset);

    [LibraryImport("libc", EntryPoint = "pwrite", SetLastError = true)]
    private static partial nint Write(int fd, byte* buffer, nuint count, long offset);
}
