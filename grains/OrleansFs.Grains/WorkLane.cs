using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>
/// Work that may read a disk or hash, done by threads of the pool instead of a grain's: so many at once, so many waiting, and the next is told <c>EBUSY</c>.
/// </summary>
internal sealed class WorkLane(int concurrency, int queue) : IDisposable
{
    private readonly SemaphoreSlim _places = new(concurrency);
    private int _present;

    /// <summary>What is under way or waits.</summary>
    public int Present => Volatile.Read(ref _present);

    public async ValueTask<TResult> RunAsync<TResult>(Func<ValueTask<TResult>> work, CancellationToken cancellation)
        where TResult : struct, IFsResult<TResult>
    {
        if (Interlocked.Increment(ref _present) > concurrency + queue)
        {
            Interlocked.Decrement(ref _present);
            return TResult.Failed(Errno.EBUSY);
        }
        try
        {
            await _places.WaitAsync(cancellation).ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            Interlocked.Decrement(ref _present);
            return TResult.Failed(Errno.EINTR);
        }
        try
        {
            return await OffGrain.RunAsync(work).ConfigureAwait(false);
        }
        finally
        {
            _places.Release();
            Interlocked.Decrement(ref _present);
        }
    }

    public void Dispose() => _places.Dispose();
}
