namespace OrleansFs.Hosting;

/// <summary>The bounds of a silo's host, each with its reason.</summary>
internal static class Limits
{
    /// <summary>How long an orderly stop of the silo may take before it is cut short. The volume is closed after it in either case; what is committed does not depend on it.</summary>
    public static readonly TimeSpan StopTimeout = TimeSpan.FromSeconds(10);

    /// <summary>How much longer than its time-out a silo may take to stop, and how long to be disposed of, before it is left to itself.</summary>
    public static readonly TimeSpan StopGrace = TimeSpan.FromSeconds(3);

    /// <summary>How often a start is tried again with other ports where a free one was taken between finding and using it.</summary>
    public const int PortAttempts = 5;

    /// <summary>Idle time after which the activation of a file is dropped. It has no state to lose; a new one costs 50-90 µs, a kept one some 3 KiB.</summary>
    public static readonly TimeSpan FileIdle = TimeSpan.FromSeconds(20);

    /// <summary>How often idle activations are looked for: with <see cref="FileIdle"/>, at 10,000 files a second some 100 MiB at most are kept.</summary>
    public static readonly TimeSpan CollectionTick = TimeSpan.FromSeconds(5);

    /// <summary>Places of grains that a silo remembers. Finding one anew is a look at the membership in memory.</summary>
    public const int PlacesRemembered = 10_000;

    /// <summary>How long a silo waits for another's sign of life before it counts it as missed. On one host or a local network answers take a millisecond.</summary>
    public static readonly TimeSpan ProbeTimeout = TimeSpan.FromSeconds(2);

    /// <summary>Time of a silo without a sign of life in the table after which it is taken for gone by those that start.</summary>
    public static readonly TimeSpan AliveTick = TimeSpan.FromSeconds(10);

    /// <summary>How often the membership table is read besides what silos tell each other.</summary>
    public static readonly TimeSpan TableRefresh = TimeSpan.FromSeconds(20);
}
