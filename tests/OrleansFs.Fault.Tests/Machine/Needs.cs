using Xunit;

namespace OrleansFs.Fault.Tests.Machine;

/// <summary>What a test needs of the machine. Where it is not there the test is skipped, and says why; it is not counted as passed.</summary>
internal static class Needs
{
    public static void Fuse() => Assert.SkipUnless(File.Exists("/dev/fuse"), "there is no /dev/fuse");

    /// <summary>Network namespaces, a filter in each of them, and a PostgreSQL.</summary>
    public static void Network()
    {
        Fuse();
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "network namespaces need root");
        foreach (string tool in new[] { "ip", "tc", "nft", "nsenter", "setpriv", "find", "xargs", "sha256sum", "gcc" })
            Assert.SkipUnless(Tool.Exists(tool), $"{tool} is not installed");
        Assert.SkipUnless(Directory.Exists("/usr/lib/postgresql"), "PostgreSQL is not installed (apt-get install postgresql)");
    }

    public static void LoopDevices()
    {
        Fuse();
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "loop devices and mounts need root");
        Assert.SkipUnless(File.Exists("/dev/loop-control"), "the kernel has no loop devices");
        foreach (string tool in new[] { "losetup", "mkfs.ext4", "mount", "umount", "sync", "kill" })
            Assert.SkipUnless(Tool.Exists(tool), $"{tool} is not installed");
    }
}
