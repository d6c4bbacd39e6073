using System.Diagnostics;
using System.Runtime.CompilerServices;
using OrleansFs.Cli.Control;
using OrleansFs.Fuse;

namespace OrleansFs.Cli.Commands;

/// <summary>The helper of umount(8): unmounts as umount(8) does without a helper, with its rules and its messages, and then waits until the process has committed everything and let its folder go.</summary>
internal static class UnmountHelperCommand
{
    /// <summary>umount(8) gives its helpers no PATH.</summary>
    private static readonly string[] s_programs = ["/usr/bin/umount", "/bin/umount", "/usr/sbin/umount", "/sbin/umount"];

    private const string Connections = "/sys/fs/fuse/connections";

    /// <param name="words">The mount point, and the options that umount(8) gives to a helper.</param>
    public static async Task<int> RunAsync(string[] words)
    {
        using var interrupt = new Interrupt();
        string mountPoint = words[0];
        var mount = MountTable.At(mountPoint);
        using var unmount = Process.Start(s_programs.FirstOrDefault(File.Exists, "umount"), ["-i", .. words[1..], mountPoint]);
        await unmount.WaitForExitAsync(interrupt.Token);
        // What is detached lives on as long as it is used; what is mounted in another namespace is not looked for in this one.
        bool isWaitedFor = unmount.ExitCode == 0 && mount is { Type: VolumeLocation.MountType } && !words.Contains("-l") && !words.Contains("-N");
        if (isWaitedFor)
            await AwaitAsync(mount!.Value, interrupt.Token);
        return unmount.ExitCode;
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static Task AwaitAsync(MountTableLine mount, CancellationToken cancellation) =>
        FolderHandover.AwaitReleaseAsync(mount.Source, IsGone(mount.DeviceMinor), Console.Error.WriteLine, cancellation);

    /// <summary>Whether the kernel has ended the connection of a mount, and not only taken it out of this namespace. Unknown, and false, where the control file system of FUSE is not mounted.</summary>
    private static bool IsGone(uint deviceMinor) => MountTable.At(Connections) is not null && !Directory.Exists($"{Connections}/{deviceMinor}");
}
