namespace OrleansFs.Mount;

/// <summary>Every bound of the mount, with its reason.</summary>
internal static class Limits
{
    /// <summary>The largest st_blksize: programs size their buffers by it, and 1 MiB is the largest request there is.</summary>
    internal const int MaxPreferredIO = 1 << 20;

    /// <summary>How far the kernel reads ahead of a sequential reader, bytes: the four largest requests, so that two cores can work while one is being copied.</summary>
    internal const int ReadAhead = 4 << 20;

    /// <summary>Files that are remembered to have pages in the kernel: some 70 bytes each.</summary>
    internal const int PagedFiles = 131072;

    /// <summary>The unit of statfs(2)'s counts. A page, as every program expects that never looks at f_frsize.</summary>
    internal const uint SpaceUnit = 4096;

    /// <summary>Contents that the kernel may know by their hash before it is asked to forget the oldest: each keeps its blocks from being collected, and the kernel keeps a name as long as it has memory.</summary>
    internal const int KnownContents = 1024;

    /// <summary>Contents that the kernel is asked to forget with one look-up past that bound: more than one, so that the number falls; few, so that a look-up stays short.</summary>
    internal const int PrunedContents = 8;

    /// <summary>Contents known by their hash at a time. Past it only those that programs have open are left.</summary>
    internal const int MostContents = 65536;

    /// <summary>When the kernel is asked again to forget a closed file: closing goes on for some microseconds after RELEASE, and for as long as others have the processor.</summary>
    internal static readonly TimeSpan FirstPruneAgain = TimeSpan.FromMilliseconds(1);

    /// <summary>How long a wait between two such requests gets: who has the file open all that time closes it some day, and then it begins anew.</summary>
    internal static readonly TimeSpan LastPruneAgain = TimeSpan.FromMilliseconds(256);

    /// <summary>How long the kernel keeps a name on a mount that is told what others change. Long enough for a program that walks over the same names again and again; so long may a change by another mount wait.</summary>
    internal static readonly TimeSpan NamesHeld = TimeSpan.FromSeconds(1);

    /// <summary>How much longer such a change waits: the kernel counts from when the program that asked goes on, which is later than when it was answered.</summary>
    internal static readonly TimeSpan NamesGrace = TimeSpan.FromSeconds(1);

    /// <summary>How exactly it is noted when a name was given: a small part of <see cref="NamesGrace"/>.</summary>
    internal static readonly TimeSpan NamesNoted = TimeSpan.FromMilliseconds(50);

    /// <summary>For how long no names are given after others have changed some where this mount looks: one change waits in so long.</summary>
    internal static readonly TimeSpan NamesPause = TimeSpan.FromMinutes(5);

    /// <summary>How often an open with O_CREAT that has lost the name twice asks for it again: each time others have to have made it and removed it since.</summary>
    internal const int CreateAttempts = 16;

    /// <summary>Threads of which it is remembered that an open of theirs has lost a name: far more than lose one within the moment until the kernel has asked again.</summary>
    internal const int LostCreates = 1024;

    /// <summary>The longest name, as everywhere in Linux.</summary>
    internal const uint NameLength = 255;
}
