using System.Diagnostics;
using System.Globalization;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Fuse;
using OrleansFs.Fuse.Bench;
using OrleansFs.Fuse.Tests.MemoryFs;

// Prints requests a second over both transports, of a file system that is all in memory: what the library itself costs.
//     OrleansFs.Fuse.Bench --serve DIRECTORY device|uring      mounts there until standard input ends (the tests use it)
//     OrleansFs.Fuse.Bench [device|uring] [seconds a row, 2] [reader threads]
// Names and attributes have no time-out, so that every stat is a LOOKUP or more. The load comes from a process of its own, as it would.
if (args is ["--load", string mountPoint, string work, string length])
    return Load.Run(mountPoint, work, TimeSpan.FromSeconds(double.Parse(length, CultureInfo.InvariantCulture)));

if (args is ["--serve", string servedAt, string transport])
    return await Serve.RunAsync(servedAt, transport == "uring");

string only = args.Length > 0 ? args[0] : "both";
string seconds = args.Length > 1 ? args[1] : "2";
int? readers = args.Length > 2 ? int.Parse(args[2], CultureInfo.InvariantCulture) : null;
foreach (IoUringMode mode in new[] { IoUringMode.Off, IoUringMode.On })
{
    if (only == (mode == IoUringMode.On ? "device" : "uring"))
        continue;
    DirectoryInfo directory = Directory.CreateTempSubdirectory("fuse-bench-");
    FuseOptions options = new()
    {
        IoUring = mode,
        ReaderThreads = readers,
        // Without it each write asks for security.capability first.
        Capabilities = FuseOptions.DefaultCapabilities | FuseCapabilities.HandleKillPrivV2,
    };
    await using (FuseMount mount = await FuseMount.MountAsync(directory.FullName, new MemoryFileSystem(TimeProvider.System), options, NullLogger.Instance))
    {
        Console.WriteLine($"{mount.Statistics.Transport} {mount.Statistics.IoUringUnavailable}");
        foreach (string load in Load.Names)
        {
            long before = mount.Statistics.TotalRequests;
            int gen0 = GC.CollectionCount(0);
            long allocated = GC.GetTotalAllocatedBytes();
            using Process process = Process.Start(Environment.ProcessPath!, ["--load", directory.FullName, load, seconds]);
            await process.WaitForExitAsync();
            long requests = mount.Statistics.TotalRequests - before;
            double rate = requests / double.Parse(seconds, CultureInfo.InvariantCulture);
            Console.WriteLine(
                $"    requests {rate:N0}/s; server: {(double)(GC.GetTotalAllocatedBytes() - allocated) / requests:F0} bytes a request, {GC.CollectionCount(0) - gen0} collections");
        }
    }
    directory.Delete();
}
return 0;
