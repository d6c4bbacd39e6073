namespace OrleansFs.Grains;

/// <summary>Runs what may take a while not on a grain's scheduler, which has one thread at a time for all calls of the grain. Who is not there already is sent to the pool.</summary>
internal static class OffGrain
{
    /// <summary>Runs it: here, where here is no grain's scheduler. The engine holds no thread for long that has called it: what has to wait goes on elsewhere.</summary>
    public static ValueTask<TResult> RunAsync<TResult>(Func<ValueTask<TResult>> work) =>
        TaskScheduler.Current == TaskScheduler.Default ? work() : new(Task.Run(() => work().AsTask(), CancellationToken.None));
}
