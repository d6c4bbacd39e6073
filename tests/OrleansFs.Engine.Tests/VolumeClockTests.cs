using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests;

public sealed class VolumeClockTests
{
    /// <summary>The kernel's clock ticks in milliseconds, and a file may change more often.</summary>
    [Fact]
    public void A_change_has_another_time_than_the_one_before_it_within_a_tick_too()
    {
        var clock = new VolumeClock(new BetweenTicks(), default);
        var first = clock.Now();
        var second = clock.NowAfter(first);
        var third = clock.NowAfter(second);
        Assert.True(first < second && second < third, $"{first} {second} {third}");
        Assert.Equal(first.Nanoseconds + 2, third.Nanoseconds);
        // Nor does the time of another file go back behind it.
        Assert.Equal(third, clock.Now());
        // A time that a program has set into the future is no reason to go there.
        var future = new Timestamp(third.Nanoseconds + 1_000_000_000);
        Assert.Equal(third, clock.NowAfter(future));
    }

    private sealed class BetweenTicks : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => new(2026, 1, 1, 0, 0, 0, TimeSpan.Zero);
    }
}
