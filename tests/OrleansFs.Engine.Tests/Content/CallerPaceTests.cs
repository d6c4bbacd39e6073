using Xunit;

namespace OrleansFs.Engine.Tests.Content;

public sealed class CallerPaceTests
{
    private readonly PassingTime _time = new();

    [Fact]
    public void A_disk_that_nobody_knows_is_waited_for_apart()
    {
        var pace = new CallerPace(_time);
        Assert.False(pace.IsForCaller());
        Call(pace, milliseconds: 0.2);
        Assert.True(pace.IsForCaller());
        _time.Pass(Limits.ShortCallKnown + TimeSpan.FromMilliseconds(1));
        Assert.False(pace.IsForCaller());
        // A disk that has slept says at once that it is slow.
        Call(pace, milliseconds: 5000);
        Assert.False(pace.IsForCaller());
    }

    [Fact]
    public void A_slow_disk_is_waited_for_apart()
    {
        var pace = new CallerPace(_time);
        for (int i = 0; i < 50; i++)
        {
            Call(pace, milliseconds: 10);
            Assert.False(pace.IsForCaller());
        }
    }

    [Fact]
    public void One_long_call_among_many_short_ones_changes_nothing_and_several_do()
    {
        var pace = new CallerPace(_time);
        for (int i = 0; i < 20; i++)
            Call(pace, milliseconds: 0.2);
        Call(pace, milliseconds: 4);
        Assert.True(pace.IsForCaller());
        Call(pace, milliseconds: 4);
        Call(pace, milliseconds: 4);
        Assert.False(pace.IsForCaller());
    }

    [Fact]
    public void Where_others_come_they_wait_together()
    {
        var pace = new CallerPace(_time);
        Call(pace, milliseconds: 0.2);
        Assert.True(pace.IsForCaller());
        Call(pace, milliseconds: 0.2, shared: true);
        for (int i = 0; i < Limits.CallsApart; i++)
        {
            Assert.False(pace.IsForCaller());
            Call(pace, milliseconds: 0.2);
        }
        Assert.True(pace.IsForCaller());
    }

    [Fact]
    public void Now_and_then_it_is_seen_whether_others_come()
    {
        var pace = new CallerPace(_time);
        Call(pace, milliseconds: 0.2);
        int apart = 0;
        for (int i = 0; i < 10 * Limits.CallsByCaller; i++)
        {
            apart += pace.IsForCaller() ? 0 : 1;
            Call(pace, milliseconds: 0.2);
        }
        Assert.Equal(10, apart);
    }

    private void Call(CallerPace pace, double milliseconds, bool shared = false)
    {
        long begun = pace.Begin();
        _time.Pass(TimeSpan.FromMilliseconds(milliseconds));
        pace.Note(begun, shared);
    }
}
