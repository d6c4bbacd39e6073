using System.Globalization;
using OrleansFs.Fuse.Interop;

namespace OrleansFs.Fuse.Transport;

/// <summary>The processors of this machine, as the kernel lists them under /sys/devices/system/cpu.</summary>
internal static class CpuSet
{
    /// <summary>Processors there could ever be: FUSE over io_uring wants a queue for each.</summary>
    internal static IReadOnlyList<int> Possible() => Read("possible");

    /// <summary>Processors that run now.</summary>
    internal static IReadOnlyList<int> Online() => Read("online");

    /// <summary>Keeps the calling thread on one processor; false where the process may not run there.</summary>
    internal static unsafe bool TryPin(int cpu)
    {
        const int MaskBytes = 1024; // 8192 processors, the most that Linux can be built for
        byte* mask = stackalloc byte[MaskBytes];
        new Span<byte>(mask, MaskBytes).Clear();
        mask[cpu / 8] = (byte)(1 << (cpu % 8));
        return Libc.SchedSetAffinity(0, MaskBytes, mask) == 0;
    }

    /// <summary>Reads the kernel's list format: "0-3,8,10-11".</summary>
    internal static IReadOnlyList<int> Parse(string list)
    {
        List<int> cpus = [];
        foreach (string part in list.Split(',', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries))
        {
            string[] ends = part.Split('-');
            int first = int.Parse(ends[0], CultureInfo.InvariantCulture);
            int last = int.Parse(ends[^1], CultureInfo.InvariantCulture);
            for (int cpu = first; cpu <= last; cpu++)
                cpus.Add(cpu);
        }
        return cpus;
    }

    private static IReadOnlyList<int> Read(string which) => Parse(File.ReadAllText($"/sys/devices/system/cpu/{which}"));
}
