namespace OrleansFs.Cli;

/// <summary>Every bound of the command line, with its reason.</summary>
internal static class Limits
{
    /// <summary>Smallest block, bytes: the engine's bound, known here so that a wrong number is refused before the engine is loaded.</summary>
    internal const long MinBlockSize = 4 << 10;

    /// <summary>Largest block, bytes: the engine's bound.</summary>
    internal const long MaxBlockSize = 4 << 20;

    /// <summary>Connections to the control socket at a time: one a person or script that looks; more wait in the kernel's queue.</summary>
    internal const int ControlConnections = 16;

    /// <summary>The longest line of the control protocol: a status is about 1 KiB.</summary>
    internal const int ControlLine = 64 * 1024;

    /// <summary>How long a connection may take to say what it wants: it is on the same machine.</summary>
    internal static readonly TimeSpan ControlRequestTimeout = TimeSpan.FromSeconds(10);

    /// <summary>How long a client waits for the first answer: a busy server answers within a commit.</summary>
    internal static readonly TimeSpan ControlAnswerTimeout = TimeSpan.FromSeconds(60);

    /// <summary>How long the starter of a background mount waits for it: opening replays what a kill left, which is bounded by the memory budget.</summary>
    internal static readonly TimeSpan BackgroundStartTimeout = TimeSpan.FromMinutes(10);

    /// <summary>How long the process that has a folder may take to let it go once it has said that it is ending: what it commits is bounded by its memory budget, and the disk may be slow.</summary>
    internal static readonly TimeSpan HandoverTimeout = TimeSpan.FromMinutes(5);

    /// <summary>How long a process may take to say that it is ending when its mount is gone: a moment, unless it is detached with files open, or another mount namespace has it; and then nobody knows how long.</summary>
    internal static readonly TimeSpan UnmountNoticeTimeout = TimeSpan.FromSeconds(15);

    /// <summary>How long a wait for a folder may last before it is said what is waited for.</summary>
    internal static readonly TimeSpan HandoverSilence = TimeSpan.FromSeconds(1);

    /// <summary>How often it is looked whether a folder is free. A file lock cannot be awaited together with a cancellation.</summary>
    internal static readonly TimeSpan HandoverInterval = TimeSpan.FromMilliseconds(25);

    /// <summary>Log lines waiting to be written. Past it lines are dropped, and their number is written: a log that blocks must not block the file system.</summary>
    internal const int LogLines = 4096;

    /// <summary>How long the last log lines may take at the end.</summary>
    internal static readonly TimeSpan LogDrainTimeout = TimeSpan.FromSeconds(5);

    /// <summary>How often work that takes long says where it is, where there is no terminal.</summary>
    internal static readonly TimeSpan ProgressLineInterval = TimeSpan.FromSeconds(10);

    /// <summary>Files that are pinned, warmed or evicted at a time: so many share a commit, and a slow replica is kept busy.</summary>
    internal const int FilesAtOnce = 8;

    /// <summary>Files of which such a command says each why they could not be; of more it says how many.</summary>
    internal const int ProblemsShown = 100;

    /// <summary>Bytes of a file that one request of those is about: so that progress moves, and an interruption is quick.</summary>
    internal const long ResidencyStep = 64L << 20;

    /// <summary>How long a verification waits for what it found damaged to be had from another copy: replicas are asked every second or thirty.</summary>
    internal static readonly TimeSpan RepairWait = TimeSpan.FromSeconds(35);

    /// <summary>How often --watch asks, and progress is shown.</summary>
    internal static readonly TimeSpan RefreshInterval = TimeSpan.FromSeconds(1);
}
