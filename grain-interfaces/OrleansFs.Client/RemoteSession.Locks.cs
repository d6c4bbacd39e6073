using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>File locks of this session at the copy.</content>
/// <remarks>
/// What a program has given up, by an unlock or a close, is claimed anew no more from that moment on, and the copy is told until it knows, whether or not the caller still waits: otherwise it would keep the lock for a
/// program that has none. What was asked for and may have been granted, its answer lost, is given up in the same way. Whoever asks for a lock waits until the copy knows what its owner has given up.
/// </remarks>
internal sealed partial class RemoteSession
{
    /// <summary>What the copy is being told of, by whose it was. Completes when it knows.</summary>
    private readonly Dictionary<LockOwner, Task> _givingUp = [];

    /// <summary>File locks granted to this session.</summary>
    public HeldLocks Locks { get; } = new();

    /// <summary>Takes, changes or gives up a lock.</summary>
    /// <returns><c>EAGAIN</c> where it is held and the caller does not wait; <c>EDEADLK</c>, <c>ENOLCK</c>, <c>EINVAL</c>; <c>EINTR</c> and <c>EIO</c>, the copy being away: it is not had.</returns>
    public async ValueTask<FsResult> SetLockAsync(InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation)
    {
        var owner = new LockOwner(inode, wanted.Owner, wanted.WholeFile);
        if (wanted.Kind == LockKind.Unlock)
        {
            Locks.Apply(inode, wanted);
            return await GiveUpAsync(owner, Unlocking(inode, wanted), cancellation);
        }
        try
        {
            await KnownAsync(owner).WaitAsync(_options.Patience, _time, cancellation);
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        catch (TimeoutException)
        {
            return Errno.EIO;
        }
        var before = Locks.In(inode, wanted);
        bool isNoted = false;
        while (true)
        {
            StrongBox<Errno>? answer = null;
            SessionTicket? first = null;
            SessionTicket last = default;
            var result = await ChangeAsync(async (request, token) =>
            {
                first ??= request.Ticket;
                last = request.Ticket;
                answer = null;
                var answered = await Grain.SetLockAsync(request, inode, wanted, wait, token);
                answer = new(answered.Error);
                return answered;
            }, cancellation);
            if (result.IsOk)
            {
                Locks.Apply(inode, wanted);
                isNoted = true;
                // What was answered to an earlier attachment is answered again to the next one, which does not have the lock; and one may have come between the answer and now.
                if (first == last && last == Ticket)
                    return result;
                continue;
            }
            // A flock is given up before it is converted, at the latest where that is refused.
            bool isGone = wanted.WholeFile && before.Any(h => h.Kind != wanted.Kind);
            if (isGone)
                before = [];
            if (isNoted || isGone)
            {
                Locks.Apply(inode, wanted with { Kind = LockKind.Unlock });
                foreach (var held in before)
                    Locks.Apply(inode, held);
            }
            isNoted = false;
            if (result.Error is Errno.EINTR or Errno.EIO && answer?.Value != result.Error)
            {
                // It may have been granted, or be granted yet to the request that nobody waits for any more: the close gives it up. What it took the place of cannot be told from it: then only the close does.
                if (!wanted.WholeFile)
                    Locks.Doubt(inode, wanted.Owner);
                if (before.Count == 0)
                    _ = GiveUpAsync(owner, Unlocking(inode, wanted with { Kind = LockKind.Unlock }), CancellationToken.None);
            }
            if (!wait || result.Error != Errno.EAGAIN)
                return result;
            if (cancellation.IsCancellationRequested)
                return Errno.EINTR;
        }
    }

    /// <summary>A close gives up all fcntl locks of an owner on a file.</summary>
    /// <returns><c>EINTR</c>, <c>EIO</c>: the copy is told later.</returns>
    public async ValueTask<FsResult> CloseLocksAsync(InodeNumber inode, ulong owner, CancellationToken cancellation)
    {
        if (!Locks.Has(inode, owner))
            return FsResult.Ok;
        Locks.ReleaseOwner(inode, owner);
        return await GiveUpAsync(new(inode, owner, false), (request, token) => File(inode).FlushAsync(request, owner, token), cancellation);
    }

    private Func<ChangeRequest, CancellationToken, ValueTask<FsResult>> Unlocking(InodeNumber inode, FileLock unlock) => (request, token) => Grain.SetLockAsync(request, inode, unlock, wait: false, token);

    private Task KnownAsync(LockOwner owner)
    {
        lock (_givingUp)
            return _givingUp.GetValueOrDefault(owner) ?? Task.CompletedTask;
    }

    private async Task<FsResult> GiveUpAsync(LockOwner owner, Func<ChangeRequest, CancellationToken, ValueTask<FsResult>> call, CancellationToken cancellation)
    {
        var first = new TaskCompletionSource<FsResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        var known = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        Task before;
        lock (_givingUp)
        {
            before = _givingUp.GetValueOrDefault(owner) ?? Task.CompletedTask;
            _givingUp[owner] = known.Task;
        }
        _ = TellAsync();
        try
        {
            return await first.Task.WaitAsync(before.IsCompleted ? Timeout.InfiniteTimeSpan : _options.Patience, _time, cancellation);
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        catch (TimeoutException)
        {
            return Errno.EIO;
        }

        async Task TellAsync()
        {
            try
            {
                await before;
                while (true)
                {
                    var result = await ChangeAsync(call, _ended.Token);
                    first.TrySetResult(result);
                    // With the session all its locks end.
                    if (result.Error is not (Errno.EIO or Errno.EINTR) || _ended.IsCancellationRequested)
                        return;
                    await Task.Delay(Limits.LongestRetry, _time, _ended.Token);
                }
            }
            catch (OperationCanceledException) when (_ended.IsCancellationRequested)
            {
                // As above.
            }
            catch (Exception e)
            {
                LogLockKept(_logger, owner.Inode, e);
            }
            finally
            {
                first.TrySetResult(Errno.EIO);
                lock (_givingUp)
                {
                    if (_givingUp.GetValueOrDefault(owner) == known.Task)
                        _givingUp.Remove(owner);
                }
                known.SetResult();
            }
        }
    }

    /// <summary>Waits, for a while, until nothing is being told to the copy any more. <see cref="_ended"/> is cancelled, and the copy has given up all with the session.</summary>
    private async Task ToldAllAsync()
    {
        Task told;
        lock (_givingUp)
            told = Task.WhenAll(_givingUp.Values);
        await Task.WhenAny(told, Task.Delay(Limits.DetachTimeout, _time));
    }

    /// <summary>Asks for the locks that the session had. Somebody may have been quicker: then the lock is lost, as after an NFS server's grace period.</summary>
    private async Task ReclaimLocksAsync(Attachment to)
    {
        foreach (var (inode, held) in Locks.All())
        {
            var result = await AnsweredAsync(token => to.Door.SetLockAsync(Recovery(to.Ticket), inode, held, wait: false, token), CancellationToken.None);
            if (result.Error == Errno.ENOTCONN)
                throw new CopyAwayException(Copy.Copy);
            if (!result.IsOk)
            {
                Locks.Apply(inode, held with { Kind = LockKind.Unlock });
                LogLockLost(_logger, inode, result.Error);
            }
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "inode {Inode}: a lock that was given up could not be given up at the copy")]
    private static partial void LogLockKept(ILogger logger, InodeNumber inode, Exception exception);

    /// <summary>Whose locks of one kind on a file.</summary>
    private readonly record struct LockOwner(InodeNumber Inode, ulong Owner, bool WholeFile);
}
