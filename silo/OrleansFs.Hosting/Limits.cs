namespace OrleansFs.Hosting;

/// <summary>The bounds of a silo's host, each with its reason.</summary>
internal static class Limits
{
    /// <summary>How long an orderly stop of the silo may take before it is cut short. The volume is closed after it in either case; what is committed does not depend on it.</summary>
    public static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(10);

    /// <summary>How much longer than its time-out a silo may take to stop, and how long to be disposed of, before it is left to itself.</summary>
    public static readonly TimeSpan StopGrace = TimeSpan.FromSeconds(3);

    /// <summary>Least time between two verifications of all block files: less would be one without an end.</summary>
    public static readonly TimeSpan MinVerifyEvery = TimeSpan.FromHours(1);

    /// <summary>Most days between two verifications: what a disk loses in longer has been lost by its second copy too.</summary>
    public const int MaxVerifyDays = 366;

    /// <summary>Masters of other volumes that one line names.</summary>
    public const int MastersNamed = 3;

    /// <summary>How often a free port is asked for.</summary>
    public const int PortAttempts = 5;

    /// <summary>Idle time after which the activation of a file is dropped. It has no state to lose; a new one costs 50-90 µs, a kept one some 3 KiB.</summary>
    public static readonly TimeSpan FileIdle = TimeSpan.FromSeconds(20);

    /// <summary>How often idle activations are looked for: with <see cref="FileIdle"/>, at 10,000 files a second some 100 MiB at most are kept.</summary>
    public static readonly TimeSpan CollectionTick = TimeSpan.FromSeconds(5);

    /// <summary>Places of grains that a silo remembers. Finding one anew is a look at the membership in memory.</summary>
    public const int PlacesRemembered = 10_000;

    /// <summary>How long a silo waits for another's sign of life. On one host or a local network answers take a millisecond.</summary>
    public static readonly TimeSpan ProbeTimeout = TimeSpan.FromSeconds(2);

    /// <summary>How often a silo of a cluster of one shows in its own table that it lives.</summary>
    public static readonly TimeSpan AliveTick = TimeSpan.FromSeconds(10);

    /// <summary>How often a silo shows in the database of a cluster that it lives, and looks who else does: two statements of a millisecond.</summary>
    public static readonly TimeSpan MemberTick = TimeSpan.FromSeconds(5);

    /// <summary>Silence of a silo in the database after which it is asked directly, and struck if it does not answer: three ticks missed, and the time that one may take on a busy machine.</summary>
    public static readonly TimeSpan SilentFor = TimeSpan.FromSeconds(20);

    /// <summary>Time between two looks at the database after which nobody's silence in it means anything.</summary>
    public static readonly TimeSpan SilenceBroken = TimeSpan.FromSeconds(12);

    /// <summary>How long striking a silo is waited for. It is tried again with the next look.</summary>
    public static readonly TimeSpan StrikeTimeout = TimeSpan.FromSeconds(10);

    /// <summary>How often a start looks whether a silo that has its name still shows itself.</summary>
    public static readonly TimeSpan NamesakeTick = TimeSpan.FromSeconds(1);

    /// <summary>Probes in a row that Orleans may miss before it would have silos vote: it never does (<see cref="Cluster.MemberWatch"/>).</summary>
    public const int MissedProbes = 1_000_000;

    /// <summary>Longest time between two probes of one silo by another, however slow it is.</summary>
    public static readonly TimeSpan LongestProbe = TimeSpan.FromSeconds(4);

    /// <summary>Silence of a connection between silos after which it is given up: four probes at their slowest.</summary>
    public static readonly TimeSpan ConnectionSilence = TimeSpan.FromSeconds(20);

    /// <summary>How often connections are looked at for that.</summary>
    public static readonly TimeSpan ConnectionTick = TimeSpan.FromSeconds(2);

    /// <summary>How long one attempt to join may take. It is made again.</summary>
    public static readonly TimeSpan JoinTimeout = TimeSpan.FromSeconds(60);

    /// <summary>First pause after a failed attempt to join; doubled each time.</summary>
    public static readonly TimeSpan FirstJoinPause = TimeSpan.FromSeconds(1);

    /// <summary>Longest pause after a failed attempt to join: how late a laptop may notice that it is at home.</summary>
    public static readonly TimeSpan LongestJoinPause = TimeSpan.FromSeconds(10);

    /// <summary>How long a silo that has no place in its cluster, or whose database is away, is given to stop: it has nobody to say goodbye to.</summary>
    public static readonly TimeSpan LostStopTimeout = TimeSpan.FromSeconds(1);

    /// <summary>How often the membership table is read besides what silos tell each other.</summary>
    public static readonly TimeSpan TableRefresh = TimeSpan.FromSeconds(20);
}
