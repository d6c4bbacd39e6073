using Orleans;

namespace OrleansFs.Model;

/// <summary>A point in time: nanoseconds since 1970-01-01 UTC, from 1677-09-21 to 2262-04-11. A time outside is clamped to that range.</summary>
[GenerateSerializer, Immutable, Alias("ofs.Timestamp")]
public readonly record struct Timestamp([property: Id(0)] long Nanoseconds) : IComparable<Timestamp>
{
    private const long NanosecondsPerSecond = 1_000_000_000;

    /// <summary>Whole seconds, rounded towards the past, as <c>struct timespec</c> has them.</summary>
    public long Seconds => Math.DivRem(Nanoseconds, NanosecondsPerSecond, out long rest) - (rest < 0 ? 1 : 0);

    /// <summary>The rest, 0 to 999,999,999 nanoseconds.</summary>
    public uint SubsecondNanoseconds => (uint)(Nanoseconds - Seconds * NanosecondsPerSecond);

    public static Timestamp From(long seconds, uint nanoseconds)
    {
        if (seconds > long.MaxValue / NanosecondsPerSecond - 1)
            return new(long.MaxValue);
        return seconds < long.MinValue / NanosecondsPerSecond + 1 ? new(long.MinValue) : new(seconds * NanosecondsPerSecond + nanoseconds);
    }

    public static Timestamp From(DateTimeOffset time) => new((time - DateTimeOffset.UnixEpoch).Ticks * 100);

    public DateTimeOffset ToDateTimeOffset() => DateTimeOffset.UnixEpoch.AddTicks(Nanoseconds / 100);

    public int CompareTo(Timestamp other) => Nanoseconds.CompareTo(other.Nanoseconds);

    public static bool operator <(Timestamp a, Timestamp b) => a.Nanoseconds < b.Nanoseconds;

    public static bool operator >(Timestamp a, Timestamp b) => a.Nanoseconds > b.Nanoseconds;

    public static bool operator <=(Timestamp a, Timestamp b) => a.Nanoseconds <= b.Nanoseconds;

    public static bool operator >=(Timestamp a, Timestamp b) => a.Nanoseconds >= b.Nanoseconds;
}
