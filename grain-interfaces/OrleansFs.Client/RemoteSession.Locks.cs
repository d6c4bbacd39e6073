using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>File locks of this session at the copy.</content>
/// <remarks>
/// Invariants:
/// 1. Requests of one owner for one file go to the copy one after the other (<see cref="LockTurns"/>), and <see cref="Locks"/> is changed in that order: what the session believes to have is what the copy has for it. One that
///    waits for a lock has no turn meanwhile; where others of its owner came in between, it is confirmed in a turn.
/// 2. What was answered while the session was being attached anew, or before, says nothing of the new attachment, which was asked for what <see cref="Locks"/> had when that began: it is asked for again
///    (<see cref="LockMoves"/>).
/// 3. What a program has given up, by an unlock or a close, is claimed anew no more from that moment on, and the copy is told until it knows, whether or not the caller still waits: otherwise it would keep the lock for a
///    program that has none. What was asked for and may have been granted, its answer lost, is given up in the same way.
/// </remarks>
internal sealed partial class RemoteSession
{
    private readonly LockTurns _turns = new();
    private readonly LockMoves _moves = new();
    private readonly SemaphoreSlim _waitingLocks = new(Limits.WaitingLocks);

    /// <summary>File locks granted to this session.</summary>
    public HeldLocks Locks { get; } = new();

    /// <summary>Takes, changes or gives up a lock.</summary>
    /// <returns><c>EAGAIN</c> where it is held and the caller does not wait; <c>EDEADLK</c>, <c>ENOLCK</c>, <c>EINVAL</c>; <c>EINTR</c> and <c>EIO</c>, the copy being away: it is not had.</returns>
    public async ValueTask<FsResult> SetLockAsync(InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation)
    {
        var owner = new LockOwner(inode, wanted.Owner, wanted.WholeFile);
        var unlock = wanted with { Kind = LockKind.Unlock };
        if (wanted.Kind == LockKind.Unlock)
        {
            Locks.Apply(inode, unlock);
            return await GiveUpAsync(owner, Unlocking(inode, unlock), () => Locks.Apply(inode, unlock), cancellation);
        }
        var asked = new LockRequest(inode, wanted, owner);
        Errno error;
        // One that nobody has is not to wait behind those who wait for others.
        bool isConfirmed = !wait || _waitingLocks.CurrentCount == 0;
        do
        {
            error = isConfirmed ? await InTurnAsync(asked, cancellation) : Errno.EAGAIN;
            if (error == Errno.EAGAIN && wait)
                error = await WaitForAsync(asked, cancellation);
            isConfirmed = error == Errno.None && !asked.IsHad;
        }
        while (!asked.IsHad && wait && error is Errno.None or Errno.EAGAIN && !cancellation.IsCancellationRequested);
        if (asked.IsHad)
            return FsResult.Ok;
        if (wait && error is Errno.None or Errno.EAGAIN)
            error = Errno.EINTR;
        // One that was to be converted may have been claimed anew in between.
        if (asked.MayBeHad || asked.Converts)
        {
            // It may have been granted, or be granted yet to the request that nobody waits for any more: the close gives it up. What it took the place of cannot be told from it: then only the close does.
            if (!wanted.WholeFile)
                Locks.Doubt(inode, wanted.Owner);
            _ = GiveUpAsync(owner, Unlocking(inode, unlock), () => Locks.Apply(inode, unlock), CancellationToken.None, isNeeded: () => Locks.In(inode, wanted).Count == 0);
        }
        return error;
    }

    /// <summary>A close gives up all fcntl locks of an owner on a file.</summary>
    /// <returns><c>EINTR</c>, <c>EIO</c>: the copy is told later.</returns>
    public async ValueTask<FsResult> CloseLocksAsync(InodeNumber inode, ulong owner, CancellationToken cancellation)
    {
        if (!Locks.Has(inode, owner))
            return FsResult.Ok;
        Locks.ReleaseOwner(inode, owner);
        return await GiveUpAsync(new(inode, owner, false), (request, token) => File(inode).FlushAsync(request, owner, token), () => Locks.ReleaseOwner(inode, owner), cancellation);
    }

    /// <summary>Asks in the turn of the owner, and does not wait for the lock.</summary>
    private async Task<Errno> InTurnAsync(LockRequest asked, CancellationToken cancellation)
    {
        var turn = _turns.Take(asked.Owner);
        try
        {
            await turn.Before.WaitAsync(_options.Patience, _time, cancellation);
            while (true)
            {
                long move = _moves.Now;
                var error = await AskForAsync(asked, wait: false, cancellation);
                if (error != Errno.None || _moves.TryDo(move, () => Note(asked)))
                    return error;
                await MovedAsync(cancellation);
            }
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        catch (TimeoutException)
        {
            return Errno.EIO;
        }
        finally
        {
            turn.End();
        }
    }

    /// <summary>Waits for the lock. What the copy answers counts where nothing else of the owner came in between, or else is to be confirmed.</summary>
    private async Task<Errno> WaitForAsync(LockRequest asked, CancellationToken cancellation)
    {
        bool mayWait = false;
        try
        {
            await _waitingLocks.WaitAsync(cancellation);
            mayWait = true;
            LockTurns.Watch? watch;
            while ((watch = _turns.TryWatch(asked.Owner, out var busy)) is null)
                await busy.WaitAsync(_options.Patience, _time, cancellation);
            using (watch)
            {
                long move = _moves.Now;
                var error = await AskForAsync(asked, wait: true, cancellation);
                if (error == Errno.None)
                    watch.TryDo(() => _moves.TryDo(move, () => Note(asked)));
                return error;
            }
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        catch (TimeoutException)
        {
            return Errno.EIO;
        }
        finally
        {
            if (mayWait)
                _waitingLocks.Release();
        }
    }

    private async Task<Errno> AskForAsync(LockRequest asked, bool wait, CancellationToken cancellation)
    {
        var (inode, wanted) = (asked.Inode, asked.Wanted);
        // A flock is given up before it is converted, whatever becomes of the new one. From now on it is not claimed anew in the place of whoever gets it.
        bool converts = wanted.WholeFile && Locks.In(inode, wanted).Any(h => h.Kind != wanted.Kind);
        if (converts && wanted.Kind == LockKind.Write)
            Locks.Apply(inode, wanted with { Kind = LockKind.Unlock });
        asked.Converts |= converts;
        StrongBox<Errno>? answer = null;
        var error = (await ChangeAsync(async (request, token) =>
        {
            answer = null;
            var answered = await Grain.SetLockAsync(request, inode, wanted, wait, token);
            answer = new(answered.Error);
            return answered;
        }, cancellation)).Error;
        bool isAnswered = error is not (Errno.EINTR or Errno.EIO) || answer?.Value == error;
        asked.MayBeHad = error == Errno.None || !isAnswered;
        if (error != Errno.None && converts)
            Locks.Apply(inode, wanted with { Kind = LockKind.Unlock });
        return error;
    }

    private void Note(LockRequest asked)
    {
        Locks.Apply(asked.Inode, asked.Wanted);
        asked.IsHad = true;
    }

    private Func<ChangeRequest, CancellationToken, ValueTask<FsResult>> Unlocking(InodeNumber inode, FileLock unlock) => (request, token) => Grain.SetLockAsync(request, inode, unlock, wait: false, token);

    /// <summary>Tells the copy that locks are given up, in the turn of their owner, until it knows.</summary>
    /// <param name="owner">Whose.</param>
    /// <param name="call">Tells it.</param>
    /// <param name="known">Done when it knows: what was granted before, and noted meanwhile, is not had any more.</param>
    /// <param name="cancellation">Ends the waiting, not the telling.</param>
    /// <param name="isNeeded">Asked in the turn.</param>
    private async Task<FsResult> GiveUpAsync(LockOwner owner, Func<ChangeRequest, CancellationToken, ValueTask<FsResult>> call, Action known, CancellationToken cancellation, Func<bool>? isNeeded = null)
    {
        var first = new TaskCompletionSource<FsResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        var turn = _turns.Take(owner);
        _ = TellAsync();
        try
        {
            return await first.Task.WaitAsync(turn.Before.IsCompleted ? Timeout.InfiniteTimeSpan : _options.Patience, _time, cancellation);
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
                await turn.Before;
                while (isNeeded?.Invoke() != false)
                {
                    long move = _moves.Now;
                    var result = await TryTellAsync();
                    bool isKnown = result.Error is not (Errno.EIO or Errno.EINTR);
                    // With the session all its locks end.
                    if ((isKnown && _moves.TryDo(move, known)) || _ended.IsCancellationRequested)
                    {
                        first.TrySetResult(result);
                        return;
                    }
                    if (isKnown)
                    {
                        await MovedAsync(_ended.Token);
                        continue;
                    }
                    first.TrySetResult(result);
                    await Task.Delay(Limits.LongestRetry, _time, _ended.Token);
                }
            }
            catch (OperationCanceledException) when (_ended.IsCancellationRequested)
            {
                // As above.
            }
            finally
            {
                first.TrySetResult(Errno.EIO);
                turn.End();
            }
        }

        async Task<FsResult> TryTellAsync()
        {
            try
            {
                return await ChangeAsync(call, _ended.Token);
            }
            catch (Exception e)
            {
                LogLockKept(_logger, owner.Inode, e);
                return Errno.EIO;
            }
        }
    }

    /// <summary>Waits, for a while, until nothing is being told to the copy any more. <see cref="_ended"/> is cancelled, and the copy has given up all with the session.</summary>
    private async Task ToldAllAsync() => await Task.WhenAny(_turns.AllAsync(), Task.Delay(Limits.DetachTimeout, _time));

    /// <summary>Completes when nobody attaches the session anew.</summary>
    private async Task MovedAsync(CancellationToken cancellation)
    {
        await _attaching.WaitAsync(cancellation);
        _attaching.Release();
    }

    /// <summary>Asks for the locks that the session had. Somebody may have been quicker: then the lock is lost, as after an NFS server's grace period.</summary>
    /// <returns>What is lost.</returns>
    private async Task<List<(InodeNumber Inode, FileLock Lock, Errno Why)>> ReclaimLocksAsync(Attachment to, IReadOnlyList<(InodeNumber Inode, FileLock Lock)> all)
    {
        var lost = new List<(InodeNumber, FileLock, Errno)>();
        foreach (var (inode, held) in all)
        {
            var result = await AnsweredAsync(token => to.Door.SetLockAsync(Recovery(to.Ticket), inode, held, wait: false, token), CancellationToken.None);
            if (result.Error == Errno.ENOTCONN)
                throw new CopyAwayException(Copy.Copy);
            if (!result.IsOk)
                lost.Add((inode, held, result.Error));
        }
        return lost;
    }

    private void Lose(List<(InodeNumber Inode, FileLock Lock, Errno Why)> lost)
    {
        foreach (var (inode, held, why) in lost)
        {
            Locks.Apply(inode, held with { Kind = LockKind.Unlock });
            LogLockLost(_logger, inode, why);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "inode {Inode}: a lock that was given up could not be given up at the copy yet")]
    private static partial void LogLockKept(ILogger logger, InodeNumber inode, Exception exception);

    /// <summary>A lock that somebody asks for.</summary>
    private sealed class LockRequest(InodeNumber inode, FileLock wanted, LockOwner owner)
    {
        public InodeNumber Inode { get; } = inode;

        public FileLock Wanted { get; } = wanted;

        public LockOwner Owner { get; } = owner;

        /// <summary>Granted, and noted in <see cref="Locks"/>.</summary>
        public bool IsHad { get; set; }

        /// <summary>The copy may have granted it.</summary>
        public bool MayBeHad { get; set; }

        /// <summary>A flock of the other kind was given up for it.</summary>
        public bool Converts { get; set; }
    }
}
