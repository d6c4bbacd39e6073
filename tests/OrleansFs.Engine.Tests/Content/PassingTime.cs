namespace OrleansFs.Engine.Tests.Content;

/// <summary>Time that stands until it is told to pass.</summary>
internal sealed class PassingTime : TimeProvider
{
    private long _ticks = 1;

    public override long TimestampFrequency => TimeSpan.TicksPerSecond;

    public override long GetTimestamp() => Volatile.Read(ref _ticks);

    public void Pass(TimeSpan time) => Interlocked.Add(ref _ticks, time.Ticks);
}
