namespace OrleansFs.Grains.Sessions;

/// <summary>Commits for many at once: who asks while one is under way shares the next with all others that do. Thread-safe.</summary>
internal sealed class SharedCommit(IVolumeCopy copy)
{
    private readonly Lock _lock = new();
    private Task _running = Task.CompletedTask;
    private Task? _next;

    /// <summary>Completes after a commit that began after this call. A commit that fails leaves its transaction open, for the next to try again: the copy logs it and says it in its status.</summary>
    /// <param name="alone">Whether nobody else is about to ask: then it is done here and now, which saves two changes of threads.</param>
    public Task JoinAsync(bool alone)
    {
        lock (_lock)
        {
            if (!alone || !_running.IsCompleted || _next is not null)
                return NextAsync();
        }
        return copy.CommitAsync(CancellationToken.None).AsTask();

        Task NextAsync()
        {
            if (_next is null)
            {
                var earlier = _running;
                _next = Task.Run(() => CommitAsync(earlier));
            }
            return _next;
        }
    }

    private async Task CommitAsync(Task earlier)
    {
        await earlier.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing);
        lock (_lock)
        {
            _running = _next!;
            _next = null;
        }
        await copy.CommitAsync(CancellationToken.None);
    }
}
