using System.Diagnostics;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>A file system of a few MiB in memory, which a test can fill. Needs root; without it the test is skipped.</summary>
internal sealed class SmallDisk : IDisposable
{
    public SmallDisk(int mebibytes, int inodes = 1 << 20)
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "mounting a small disk needs root");
        Folder = Directory.CreateTempSubdirectory("ofs-small-").FullName;
        Run("mount", "-t", "tmpfs", "-o", $"size={mebibytes}m,nr_inodes={inodes},mode=700", "orleansfs-test", Folder);
    }

    public string Folder { get; }

    public long FreeBytes => new DriveInfo(Folder).AvailableFreeSpace;

    /// <summary>Takes what is free, except for so many bytes.</summary>
    public void FillUpTo(long leave)
    {
        using var file = File.OpenHandle(Path.Combine(Folder, "filler"), FileMode.Append, FileAccess.Write);
        byte[] page = new byte[4096];
        for (long n = FreeBytes - leave; n > 0; n -= page.Length)
            RandomAccess.Write(file, page, RandomAccess.GetLength(file));
    }

    public void Dispose()
    {
        Run("umount", "--lazy", Folder);
        Directory.Delete(Folder);
    }

    private static void Run(string program, params string[] arguments)
    {
        using var process = Process.Start(program, arguments);
        process.WaitForExit();
        Assert.Equal(0, process.ExitCode);
    }
}
