using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>Calls that are made until they are answered, or patience ends.</content>
internal sealed partial class RemoteSession
{
    /// <summary>Asks something that changes nothing, or that does no harm twice. Cancelled: <c>EINTR</c>, at once.</summary>
    public async ValueTask<TResult> AskAsync<TResult>(Func<SessionTicket, CancellationToken, ValueTask<TResult>> call, CancellationToken cancellation)
        where TResult : struct, IFsResult<TResult>
    {
        try
        {
            while (true)
            {
                var result = await RepeatAsync((ticket, token) => new ValueTask<TResult>(call(ticket, token).AsTask().WaitAsync(token)), cancellation);
                if (result.Error != Errno.EBUSY)
                    return result;
                await Task.Delay(Limits.FirstRetry, _time, cancellation);
            }
        }
        catch (OperationCanceledException)
        {
            return TResult.Failed(Errno.EINTR);
        }
    }

    /// <summary>Changes something once. A cancellation is passed on to the copy, whose answer is awaited: <c>EINTR</c> where nothing was done.</summary>
    /// <param name="call">The call.</param>
    /// <param name="cancellation">Passed on.</param>
    /// <param name="begun">Since when somebody waits who has patience: a timestamp; null: from now on.</param>
    public async ValueTask<TResult> ChangeAsync<TResult>(Func<ChangeRequest, CancellationToken, ValueTask<TResult>> call, CancellationToken cancellation, long? begun = null)
        where TResult : struct, IFsResult<TResult>
    {
        try
        {
            while (true)
            {
                var (slot, sequence) = await _slots.TakeAsync(cancellation);
                try
                {
                    var result = await RepeatAsync((ticket, token) => call(new ChangeRequest(ticket, slot, sequence), token), cancellation, begun);
                    if (result.Error != Errno.EBUSY)
                        return result;
                }
                finally
                {
                    _slots.Return(slot);
                }
                // Refused for want of room, and the slot remembers that: the same change again is a new request.
                await Task.Delay(Limits.FirstRetry, _time, cancellation);
            }
        }
        catch (OperationCanceledException)
        {
            return TResult.Failed(Errno.EINTR);
        }
    }

    /// <summary>The answer to a call; <see cref="CopyAwayException"/> as soon as the connection by which it was to come may be lost, or the copy is known to be another run.</summary>
    /// <param name="call">The call.</param>
    /// <param name="cancellation">Passed on to the copy.</param>
    /// <param name="begun">Since when somebody waits who has patience; null: the call's own time-out is what ends it.</param>
    private async ValueTask<TResult> AnsweredAsync<TResult>(Func<CancellationToken, ValueTask<TResult>> call, CancellationToken cancellation, long? begun = null)
    {
        var disruption = _connection.Disruption;
        var moved = Volatile.Read(ref _moved).Task;
        var answer = call(cancellation);
        if (answer.IsCompleted)
            return await answer;
        var task = answer.AsTask();
        try
        {
            if (await ComesAsync(task, disruption, moved, begun, cancellation))
                return await task;
        }
        catch (OperationCanceledException) when (!task.IsCompleted)
        {
            Abandon(task);
            throw;
        }
        Abandon(task);
        throw new CopyAwayException(Copy.Copy);
    }

    /// <summary>Waits for an answer while the copy may give one. Where it is silent (<see cref="Silence"/>) until patience ends or the caller cancels, for it would not answer that, either.</summary>
    /// <returns>Whether the answer is there.</returns>
    private async Task<bool> ComesAsync(Task task, Task disruption, Task moved, long? begun, CancellationToken cancellation)
    {
        while (true)
        {
            bool isSilent = _silence.Since(out var change) is not null;
            var next = Task.WhenAny(task, disruption, moved, change);
            if (begun is { } since && isSilent)
            {
                using var waiting = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
                await Task.WhenAny(next, Task.Delay(PatienceLeft(since), _time, waiting.Token));
                await waiting.CancelAsync();
                if (!next.IsCompleted)
                {
                    cancellation.ThrowIfCancellationRequested();
                    return false;
                }
            }
            if (await next != change)
                return task.IsCompleted;
        }
    }

    /// <summary>How long a caller waits yet for a copy that is silent.</summary>
    private TimeSpan PatienceLeft(long begun)
    {
        if (_options.Patience == Timeout.InfiniteTimeSpan)
            return Timeout.InfiniteTimeSpan;
        var left = _options.Patience - _time.GetElapsedTime(SilentSince(begun) ?? begun);
        return left > TimeSpan.Zero ? left : TimeSpan.Zero;
    }

    /// <summary>From when on a caller, who began to wait then, has had no answer for want of a copy that answers.</summary>
    private long? SilentSince(long begun) => _silence.Since(out _) is { } since ? Math.Max(since, begun) : null;

    private static void Abandon(Task task)
    {
        // Whatever becomes of it: nobody waits for it any more.
        _ = task.ContinueWith(lost => lost.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted | TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    private async ValueTask<TResult> RepeatAsync<TResult>(Func<SessionTicket, CancellationToken, ValueTask<TResult>> call, CancellationToken cancellation, long? since = null)
        where TResult : struct, IFsResult<TResult>
    {
        long begun = since ?? _time.GetTimestamp();
        long? away = null;
        bool hasLooked = false;
        var pause = Limits.FirstRetry;
        while (true)
        {
            var ticket = Ticket;
            string reason;
            try
            {
                var result = await AnsweredAsync(token => call(ticket, token), cancellation, begun);
                // A master that refuses a change has been fenced: another copy takes it, where that can be found.
                bool isFenced = result.Error == Errno.EROFS && _options.FollowsMaster && !Copy.ReadOnly && !hasLooked;
                if (result.Error != Errno.ENOTCONN && !isFenced)
                {
                    Back();
                    return result;
                }
                hasLooked |= isFenced;
                reason = result.Error.ToString();
                if (await TryAttachAsync(ticket, cancellation))
                    continue;
            }
            catch (Exception e) when (Interruption.Is(e))
            {
                reason = e.Message;
            }
            Away(reason);
            // From the first failure: a call that took long before it was lost is made again like any other.
            away ??= SilentSince(begun) ?? _time.GetTimestamp();
            if (_options.Patience != Timeout.InfiniteTimeSpan && _time.GetElapsedTime(away.Value) >= _options.Patience)
            {
                LogGaveUp(_logger, Copy.Copy, _options.Patience.TotalSeconds, reason);
                return TResult.Failed(Errno.EIO);
            }
            await Task.Delay(pause, _time, cancellation);
            pause = pause * 2 < Limits.LongestRetry ? pause * 2 : Limits.LongestRetry;
        }
    }
}
