using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <summary>The volume's time: never goes back, not when the wall clock is set back and not across a restart.</summary>
internal sealed class VolumeClock(TimeProvider time, Timestamp floor)
{
    private long _last = floor.Nanoseconds;

    /// <summary>The latest time given so far. Kept in meta.db, so that the next run begins there.</summary>
    public Timestamp Latest => new(Volatile.Read(ref _last));

    /// <summary>Times given from now on are not before this one.</summary>
    public void Advance(Timestamp time)
    {
        long last = Volatile.Read(ref _last);
        while (time.Nanoseconds > last)
        {
            long seen = Interlocked.CompareExchange(ref _last, time.Nanoseconds, last);
            if (seen == last)
                return;
            last = seen;
        }
    }

    /// <summary>As <see cref="Now"/>, and another time than one that was given before: a nanosecond later where the clock has not gone on.</summary>
    public Timestamp NowAfter(Timestamp before)
    {
        var now = Now();
        if (now != before)
            return now;
        now = new Timestamp(before.Nanoseconds + 1);
        Advance(now);
        return now;
    }

    /// <summary>The present, or the latest time given so far where the wall clock is behind it.</summary>
    public Timestamp Now()
    {
        long now = Timestamp.From(time.GetUtcNow()).Nanoseconds;
        long last = Volatile.Read(ref _last);
        while (now > last)
        {
            long seen = Interlocked.CompareExchange(ref _last, now, last);
            if (seen == last)
                return new(now);
            last = seen;
        }
        return new(last);
    }
}
