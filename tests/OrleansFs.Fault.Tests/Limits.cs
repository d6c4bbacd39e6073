namespace OrleansFs.Fault.Tests;

/// <summary>Every bound of these tests. Each wait for a system or a process that may be broken ends here.</summary>
internal static class Limits
{
    /// <summary>A tool of the system, like mkfs or losetup: takes milliseconds; a machine that is short of both cores and disk, seconds.</summary>
    public static readonly TimeSpan Tool = TimeSpan.FromSeconds(60);

    /// <summary>A mount until it is usable, recovery included.</summary>
    public static readonly TimeSpan MountReady = TimeSpan.FromSeconds(60);

    /// <summary>An orderly end of a mount: all that is in flight goes to disk.</summary>
    public static readonly TimeSpan MountEnd = TimeSpan.FromSeconds(60);

    /// <summary>A killed process until it is gone, and a worker until it has seen that its files are gone.</summary>
    public static readonly TimeSpan ProcessEnd = TimeSpan.FromSeconds(30);

    /// <summary>Filling a disk of <see cref="SmallDiskBytes"/> with files that are each synced.</summary>
    public static readonly TimeSpan Fill = TimeSpan.FromSeconds(120);

    /// <summary>From the deletion of files on a full disk until there is room again: a look a second, and a collection.</summary>
    public static readonly TimeSpan RoomAgain = TimeSpan.FromSeconds(30);

    /// <summary>Between two looks at how much room there is: within it some of what was deleted is collected, while there is any.</summary>
    public static readonly TimeSpan Collected = TimeSpan.FromMilliseconds(1500);

    /// <summary>From the failure of a disk until a program that works on the volume has been told.</summary>
    public static readonly TimeSpan Told = TimeSpan.FromSeconds(60);

    /// <summary>One reading of everything that the workers wrote.</summary>
    public static readonly TimeSpan Verification = TimeSpan.FromSeconds(120);

    /// <summary>A check of a volume of some hundred MiB, its content read.</summary>
    public static readonly TimeSpan Check = TimeSpan.FromSeconds(120);

    /// <summary>A command that asks silos of which some do not answer.</summary>
    public static readonly TimeSpan NetworkCommand = TimeSpan.FromSeconds(90);

    /// <summary>Between two writes of a program that is there to be refused at some moment, not to make load.</summary>
    public static readonly TimeSpan WriterPause = TimeSpan.FromMilliseconds(5);

    /// <summary>How long programs work at a time while something is wrong with the network.</summary>
    public static readonly TimeSpan NetworkBurst = TimeSpan.FromMilliseconds(700);

    /// <summary>From a fault of the network until who is concerned has noticed it: silence of 20 s, and the pauses between attempts.</summary>
    public static readonly TimeSpan Noticed = TimeSpan.FromSeconds(90);

    /// <summary>A command that asks the processes of a volume, or waits for its replicas.</summary>
    public static readonly TimeSpan Command = TimeSpan.FromSeconds(120);

    /// <summary>From the kill of a mount until what it held is free: its lease of 30 s, and the look for leases that are over.</summary>
    public static readonly TimeSpan LeaseOver = TimeSpan.FromSeconds(90);

    /// <summary>From a fault until the volume has found it or mended it, where nobody says when.</summary>
    public static readonly TimeSpan Mended = TimeSpan.FromSeconds(60);

    /// <summary>Size of the disk whose power is cut, bytes: room for some seconds of work, and little enough to copy for each cut.</summary>
    public const long DiskBytes = 320L << 20;

    /// <summary>Size of the disk that is filled, bytes.</summary>
    public const long SmallDiskBytes = 64L << 20;

    /// <summary>Bytes of writes that a disk keeps in its record; a round ends when they are reached.</summary>
    public const long RecordedBytes = 384L << 20;

    /// <summary>Lines of a program's output that are kept.</summary>
    public const int OutputLines = 2000;

    /// <summary>Violations of which a verification tells; more say nothing new.</summary>
    public const int Violations = 40;

    /// <summary>Between two looks at what costs nothing to look at.</summary>
    public static readonly TimeSpan Look = TimeSpan.FromMilliseconds(20);

    /// <summary>At most between two looks for which a process is started, or all logs of workers are read.</summary>
    public static readonly TimeSpan DearLook = TimeSpan.FromMilliseconds(500);
}
