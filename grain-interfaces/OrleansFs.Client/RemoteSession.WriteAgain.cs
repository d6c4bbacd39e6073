using Microsoft.Extensions.Logging;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>The move to another attachment: what the copy may have lost of what is kept (<see cref="UnstableChanges"/>) is written again there, before anything new is asked.</content>
internal sealed partial class RemoteSession
{
    /// <summary>Something is kept that the copy of the present attachment was not given: it is another run than the one that took it, and takes no changes.</summary>
    private volatile bool _owes;

    /// <summary>Puts the session on a new attachment. Where the copy is another run, what it may have lost is written again first, in order. <see cref="_attaching"/> is held.</summary>
    private async Task MoveToAsync(Attachment to)
    {
        bool isAnotherRun = to.Grant.Run != _attachment.Grant.Run;
        // A copy that takes no changes any more is no place to write anything again: the one that has taken over is given it.
        bool isNoPlace = to.Grant.Copy.ReadOnly && _options.FollowsMaster;
        if ((isAnotherRun || _owes) && !isNoPlace)
        {
            await WriteAgainAsync(to);
            _owes = false;
        }
        else
        {
            var subscription = await SubscribeAsync(to);
            _owes |= isAnotherRun && _unstable.Newest is not null;
            _attachment = to;
            Volatile.Write(ref _lapses, to.Grant.Lapses);
            Begin(subscription);
            CatchUp();
        }
        // What was asked of the run before is not answered any more.
        if (isAnotherRun)
            Interlocked.Exchange(ref _moved, NewMove()).SetResult();
    }

    private async Task WriteAgainAsync(Attachment to)
    {
        bool isDone = false, isOnDisk = false;
        Subscription subscription;
        IReadOnlyList<UnstableChange> changes = [];
        var places = new Dictionary<InodeNumber, InodeNumber?>();
        using var end = new CancellationTokenSource();
        var beating = BeatAtAsync(to, end.Token);
        try
        {
            changes = _unstable.Freeze();
            foreach (var change in changes)
            {
                if (!places.TryGetValue(change.Inode, out var place))
                    places.Add(change.Inode, place = await PlaceAsync(to, [.. changes.Where(c => c.Inode == change.Inode)]));
                if (place is { } inode)
                    await MakeAgainAsync(to, change with { Inode = inode });
            }
            // On disk before anybody changes anything: it is not made again a second time, over that.
            isOnDisk = changes.Count == 0 || await SyncAgainAsync(to);
            // What is written from now on, and what is not on disk yet, is known to the copy as this session's before others change anything. Not sooner: two that write the same file again would wait for each other.
            subscription = await SubscribeAsync(to);
            // Others may be bringing back theirs: what they were answered is there before anything new is asked.
            if (await AnsweredAsync(t => to.Door.RecoveredAsync(to.Ticket, isOnDisk ? to.Grant.Lapses : -1, t), default) is { IsOk: false })
                throw new CopyAwayException(Copy.Copy);
            if (changes.Count > 0)
                LogWrittenAgain(_logger, changes.Count, to.Grant.Copy.Copy);
            isDone = true;
        }
        finally
        {
            _unstable.Thaw(() =>
            {
                if (!isDone)
                    return;
                _attachment = to;
                Volatile.Write(ref _lapses, to.Grant.Lapses);
                // Before anything else is kept of these files.
                Settle(changes, places, isOnDisk && changes is [.., var newest] ? newest.Sequence : null);
            });
            await end.CancelAsync();
            await beating;
        }
        Begin(subscription);
        if (!isOnDisk)
            CatchUp();
    }

    /// <summary>Waits while the session is at a copy that was never given what is kept of a file, or of any, and takes no changes.</summary>
    /// <returns><c>EIO</c> where that lasts: it is on no disk; <c>EINTR</c>.</returns>
    public async ValueTask<Errno> OwedAsync(InodeNumber? inode, CancellationToken cancellation)
    {
        for (long begun = _time.GetTimestamp(); _owes && (inode is { } file ? _unstable.Among([file]).Length > 0 : _unstable.Newest is not null);)
        {
            if (_options.Patience != Timeout.InfiniteTimeSpan && _time.GetElapsedTime(begun) >= _options.Patience)
                return Errno.EIO;
            try
            {
                await Task.Delay(Limits.LongestRetry, _time, cancellation);
            }
            catch (OperationCanceledException)
            {
                return Errno.EINTR;
            }
        }
        return Errno.None;
    }

    /// <summary>Keeps an attachment alive that is not the session's yet. That it is not can be found out by whoever uses it.</summary>
    private async Task BeatAtAsync(Attachment to, CancellationToken end)
    {
        while (!end.IsCancellationRequested)
        {
            try
            {
                await Task.Delay(GrainInterfaces.Limits.HeartbeatPeriod, _time, end);
                var result = await AnsweredAsync(t => to.Door.HeartbeatAsync(to.Ticket, t), end).AsTask().WaitAsync(Limits.HeartbeatTimeout, _time, end);
                if (result.TryGet(out var pulse, out _))
                    _orphans.Ask(pulse.Orphans, _holder);
            }
            catch (Exception e) when (Interruption.Is(e) || (e is OperationCanceledException && end.IsCancellationRequested))
            {
                // The next one may be answered.
            }
            catch (Exception e)
            {
                LogBeatFailed(_logger, e);
            }
        }
    }

    private async Task MakeAgainAsync(Attachment to, UnstableChange change)
    {
        var (ticket, file) = (to.Ticket, to.File(change.Inode));
        var truncation = new AttributeChange { Mask = AttributeMask.Size, Size = change.Offset };
        Errno error;
        do
        {
            error = change.Kind switch
            {
                UnstableKind.Write when change.Pieces is { } pieces =>
                    (await AnsweredAsync(t => file.WriteManyAsync(Recovery(ticket), pieces, change.Data, change.Flags | WriteFlags.Again, t), default)).Error,
                UnstableKind.Write => (await AnsweredAsync(t => file.WriteAsync(Recovery(ticket), change.Offset, change.Data, change.Flags | WriteFlags.Again, t), default)).Error,
                UnstableKind.Allocate => (await AnsweredAsync(t => file.AllocateAsync(Recovery(ticket), change.Mode, change.Offset, change.Length, t), default)).Error,
                _ => (await AnsweredAsync(t => to.Names.SetAttributesAsync(Recovery(ticket), change.Inode, truncation, default, t), default)).Error,
            };
        }
        while (error == Errno.EBUSY);
        // EROFS: another copy has taken over meanwhile, and is given it.
        if (error == Errno.ENOTCONN || (error == Errno.EROFS && _options.FollowsMaster))
            throw new CopyAwayException(Copy.Copy);
        // ESTALE: the file is gone by now, and what was written to it with it. EPERM: it is immutable or append-only, or was in the meantime, and what it had then is on disk with that.
        if (error is not (Errno.None or Errno.ESTALE or Errno.EPERM))
        {
            _unstable.Lose(change.Inode);
            LogLost(_logger, change.Inode, change.Offset, change.Length, error);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Count} changes of content were made again at the copy '{Copy}', which was restarted")]
    private static partial void LogWrittenAgain(ILogger logger, int count, CopyName copy);

    [LoggerMessage(Level = LogLevel.Error, Message = "inode {Inode}: a change of {Length} bytes at {Offset} was lost with the copy's memory and could not be made again: {Error}")]
    private static partial void LogLost(ILogger logger, InodeNumber inode, long offset, long length, Errno error);
}
