using Microsoft.Extensions.Logging;
using Orleans;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>
/// A session at a copy, kept alive: heartbeats, attaching anew where the copy has forgotten it, slots for changes, and what unlinked inodes the mount still knows.
/// </summary>
/// <remarks>
/// Calls go out with the ticket of the newest attachment. One that is answered <c>ENOTCONN</c>, or not at all, is made again: a change with its own slot and sequence, so that at a copy
/// that remembers the session it happens once. A copy that was restarted does not remember it.
/// </remarks>
internal sealed partial class RemoteSession : IAsyncDisposable
{
    private readonly VolumeConnection _connection;
    private readonly RemoteVolumeOptions _options;
    private readonly ICacheHolder _holder;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly SlotPool _slots = new(GrainInterfaces.Limits.RecoverySlot);
    private readonly SemaphoreSlim _attaching = new(1);
    private readonly SemaphoreSlim _wake = new(0);
    private readonly CancellationTokenSource _ended = new();
    private readonly Orphans _orphans = new();
    private volatile Attachment _attachment;
    private TaskCompletionSource _moved = NewMove();
    private long _recoverySequence;
    private Task _beating = Task.CompletedTask;
    private Task _stabilizing = Task.CompletedTask;
    private readonly Silence _silence = new();
    private int _isAway;

    private RemoteSession(VolumeConnection connection, SessionId id, SessionGrant grant, ICacheHolder holder, RemoteVolumeOptions options)
    {
        _connection = connection;
        Id = id;
        Grains = connection.Grains;
        _attachment = new Attachment(Grains, id, grant);
        connection.Direct.Offer(grant.Copy.Copy, grant.Gateway);
        _options = options;
        _holder = holder;
        _time = connection.Time;
        Memory = new ContentMemory(_time);
        _unstable = new UnstableChanges(Memory);
        _logger = connection.Loggers.CreateLogger<RemoteSession>();
        Behind = options.WriteBehind ? new WriteBehind(this) : null;
        Cache = new SessionCache(_time) { IsBehind = Behind is { } behind ? behind.Has : null };
        _observer = new Observer(this, Cache, Behind, holder);
        _observed = Grains.CreateObjectReference<ISessionObserver>(_observer);
    }

    /// <summary>The mount.</summary>
    public ICacheHolder Holder => _holder;

    public IGrainFactory Grains { get; }

    public SessionId Id { get; }

    /// <summary>The session at the copy of the newest attachment.</summary>
    public ISessionGrain Grain => _attachment.Door;

    /// <summary>Names and attributes there.</summary>
    public INamespaceGrain Names => _attachment.Names;

    /// <summary>The content of a file there.</summary>
    public IFileGrain File(InodeNumber inode) => _attachment.File(inode);

    /// <summary>The copy, as it described itself when the session was attached last.</summary>
    public CopyDescription Copy => _attachment.Grant.Copy;

    /// <summary>When reads bring up access times.</summary>
    public AccessTimes AccessTimes => _options.AccessTimes;

    /// <summary>Writes that are gathered; null where each is sent by itself.</summary>
    public WriteBehind? Behind { get; }

    public TimeProvider Time => _time;

    /// <summary>Completes when what was written to a file has been answered by the copy, or has failed.</summary>
    /// <returns><c>EINTR</c> where the caller does not wait for that.</returns>
    public ValueTask<Errno> WaitForWritesAsync(InodeNumber inode, CancellationToken cancellation) => WaitAsync(Behind?.SettleAsync(inode) ?? default, cancellation);

    /// <summary>The same for all files.</summary>
    public ValueTask<Errno> WaitForWritesAsync(CancellationToken cancellation) => WaitAsync(Behind?.SettleAllAsync() ?? default, cancellation);

    private static ValueTask<Errno> WaitAsync(ValueTask settled, CancellationToken cancellation)
    {
        return settled.IsCompletedSuccessfully ? new(Errno.None) : Wait();

        async ValueTask<Errno> Wait()
        {
            try
            {
                await settled.AsTask().WaitAsync(cancellation);
                return Errno.None;
            }
            catch (OperationCanceledException)
            {
                return Errno.EINTR;
            }
        }
    }

    private SessionTicket Ticket => _attachment.Ticket;

    public static async Task<RemoteSession> AttachAsync(VolumeConnection connection, CopyName copy, ICacheHolder holder, RemoteVolumeOptions options, CancellationToken cancellation)
    {
        var id = SessionId.New();
        SessionGrant grant;
        try
        {
            var grain = connection.Grains.GetGrain<ISessionGrain>(new SessionKey(id, copy).ToString());
            var result = await grain.AttachAsync(StartOf(options), cancellation);
            if (!result.TryGet(out grant, out var error))
                throw new VolumeConnectionException(Refusal(copy, error));
        }
        catch (Exception e) when (Interruption.Is(e))
        {
            throw new VolumeConnectionException(e.Message, e);
        }
        var session = new RemoteSession(connection, id, grant, holder, options);
        try
        {
            session.Begin(await session.SubscribeAsync(session._attachment));
        }
        catch (Exception e) when (Interruption.Is(e))
        {
            throw new VolumeConnectionException(e.Message, e);
        }
        session._beating = Task.Run(session.BeatAsync, CancellationToken.None);
        session._stabilizing = Task.Run(session.StabilizeAsync, CancellationToken.None);
        return session;
    }

    /// <summary>This session made the inode without a name: the copy is told when the mount forgets it.</summary>
    public void Hold(InodeNumber inode) => _orphans.Hold(inode);

    /// <summary>The mount no longer knows the inode. Matters where it has no name, or a write of it failed.</summary>
    public void Forget(InodeNumber inode)
    {
        Behind?.Forget(inode);
        if (_orphans.Forget(inode) >= Limits.ForgetBatch && _wake.CurrentCount == 0)
            _wake.Release();
    }

    public async ValueTask DisposeAsync()
    {
        if (_ended.IsCancellationRequested)
            return;
        await _ended.CancelAsync();
        await _beating;
        await _stabilizing;
        await _following;
        try
        {
            using var patience = new CancellationTokenSource(Limits.DetachTimeout, _time);
            await Grain.DetachAsync(Ticket, CancellationToken.None).AsTask().WaitAsync(patience.Token);
        }
        catch (Exception e) when (Interruption.Is(e) || e is OperationCanceledException)
        {
            LogNotDetached(_logger, Copy.Copy, e.Message);
        }
        await ToldAllAsync();
        Grains.DeleteObjectReference<ISessionObserver>(_observed);
        _slots.Dispose();
        Behind?.Dispose();
        _attaching.Dispose();
        _waitingLocks.Dispose();
        _wake.Dispose();
        _stabilize.Dispose();
        _ended.Dispose();
    }

    private static SessionStart StartOf(RemoteVolumeOptions options) => new() { Client = options.Client, AccessTimes = options.AccessTimes, Contract = Contract.Id };

    private static string Refusal(CopyName copy, Errno error) => error switch
    {
        Errno.EBUSY => $"the copy '{copy}' is mounted by its own process alone; mounted there with --cluster, it can be shared",
        Errno.EPROTONOSUPPORT => $"the copy '{copy}' runs another version of OrleansFs: install the same version on all machines of the cluster",
        Errno.EAGAIN => $"the copy '{copy}' takes no mount at this moment: it holds nothing yet, or hands over to another",
        Errno.EMFILE => $"the copy '{copy}' has as many mounts as it takes",
        _ => $"the copy '{copy}' accepts no mount: {error}",
    };

    /// <summary>Attaches the session anew, once for however many calls found it gone.</summary>
    private async Task<bool> TryAttachAsync(SessionTicket gone, CancellationToken cancellation)
    {
        await _attaching.WaitAsync(cancellation);
        try
        {
            return Ticket != gone || await TryAttachAtAsync(Copy.Copy, cancellation);
        }
        finally
        {
            _attaching.Release();
        }
    }

    /// <summary>Attaches the session to a copy; <see cref="_attaching"/> is held.</summary>
    private async Task<bool> TryAttachAtAsync(CopyName copy, CancellationToken cancellation)
    {
        var result = await AnsweredAsync(token => Door(Grains, Id, copy).AttachAsync(StartOf(_options) with { Volume = Copy.Volume }, token), CancellationToken.None)
            .AsTask().WaitAsync(Limits.HeartbeatTimeout, _time, cancellation);
        bool isAccepted = result.TryGet(out var grant, out var error);
        // A name says nothing about what is behind it. Locks and content are for the volume that they are of.
        if (isAccepted && grant.Copy.Volume != Copy.Volume)
            (isAccepted, error) = (false, Errno.ESTALE);
        // Where another copy has taken over, that one is the better place, if it can be found.
        if ((isAccepted ? grant.Copy.ReadOnly : error is Errno.EAGAIN or Errno.ESTALE) && copy == Copy.Copy && await FindSuccessorAsync(cancellation) is { } successor)
            return await TryAttachAtAsync(successor, cancellation);
        if (!isAccepted)
        {
            if (error == Errno.EAGAIN)
                LogNotYet(_logger, copy);
            else
                await SayRefusedAsync(copy, error, cancellation);
            return false;
        }
        _refusal = null;
        var to = new Attachment(Grains, Id, grant);
        _connection.Direct.Offer(grant.Copy.Copy, grant.Gateway);
        var held = _moves.Step(Locks.All);
        bool isMoved = false;
        List<(InodeNumber, FileLock, Errno)> lost = [];
        try
        {
            lost = await ReclaimLocksAsync(to, held);
            Forget();
            _term = null;
            await MoveToAsync(to);
            isMoved = true;
        }
        finally
        {
            _moves.Step(() =>
            {
                if (isMoved)
                    Lose(lost);
                return isMoved;
            });
        }
        LogAttachedAnew(_logger, Copy.Copy);
        return true;
    }

    private async Task BeatAsync()
    {
        var pause = GrainInterfaces.Limits.HeartbeatPeriod;
        long sent = _time.GetTimestamp();
        while (!_ended.IsCancellationRequested)
        {
            try
            {
                await WaitAsync(_wake, pause);
                sent = _time.GetTimestamp();
                bool isOpen = await BeatOnceAsync();
                if (Copy.ReadOnly)
                    BeginToFollow();
                pause = isOpen ? Limits.BusyHeartbeat : Volatile.Read(ref _isAway) != 0 ? Limits.LongestRetry : GrainInterfaces.Limits.HeartbeatPeriod;
            }
            catch (OperationCanceledException) when (_ended.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e) when (Interruption.Is(e))
            {
                _silence.Begin(sent);
                Away(e.Message);
                BeginToFollow();
                pause = Limits.LongestRetry;
            }
            catch (Exception e)
            {
                LogBeatFailed(_logger, e);
            }
        }
    }

    /// <summary>Waits for a time, or until it is to be done sooner.</summary>
    private async Task WaitAsync(SemaphoreSlim sooner, TimeSpan pause)
    {
        using var timer = new CancellationTokenSource(pause, _time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(timer.Token, _ended.Token);
        try
        {
            await sooner.WaitAsync(linked.Token);
        }
        catch (OperationCanceledException) when (!_ended.IsCancellationRequested)
        {
            // The time has come.
        }
    }

    /// <returns>Whether the copy has asked something whose answer is still open.</returns>
    private async Task<bool> BeatOnceAsync()
    {
        var ticket = Ticket;
        long sent = _time.GetTimestamp();
        var result = await AnsweredAsync(token => Grain.HeartbeatAsync(ticket, token), _ended.Token).AsTask().WaitAsync(Limits.HeartbeatTimeout, _time, _ended.Token);
        _silence.End();
        if (result.Error == Errno.ENOTCONN)
        {
            await TryAttachAsync(ticket, _ended.Token);
            return true;
        }
        Back();
        bool isOpen = false;
        if (result.TryGet(out var pulse, out _))
        {
            isOpen = _orphans.Ask(pulse.Orphans, _holder);
            if (ticket == Ticket)
            {
                Renew(sent, pulse);
                _connection.Direct.Offer(Copy.Copy, pulse.Gateway);
            }
            await SubscribeAgainAsync();
        }
        while (_orphans.TakeForgotten(GrainInterfaces.Limits.MaxInodesPerCall) is { Length: > 0 } forgotten)
        {
            var told = await AnsweredAsync(token => Grain.ForgetAsync(ticket, forgotten, token), _ended.Token);
            if (!told.IsOk)
                break;
        }
        return isOpen;
    }

    private static TaskCompletionSource NewMove() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Names a request of those that bring the session back, one at a time: <see cref="_attaching"/> is held.</summary>
    private ChangeRequest Recovery(SessionTicket ticket) => new(ticket, GrainInterfaces.Limits.RecoverySlot, ++_recoverySequence);

    private void Away(string reason)
    {
        if (Interlocked.Exchange(ref _isAway, 1) != 0)
            return;
        LogAway(_logger, Copy.Copy, reason);
        // The heart beats faster while the copy is away, and finds out when it is back for all who wait.
        if (_wake.CurrentCount == 0)
            _wake.Release();
    }

    private void Back()
    {
        _silence.End();
        if (Volatile.Read(ref _isAway) != 0 && Interlocked.Exchange(ref _isAway, 0) != 0)
            LogBack(_logger, Copy.Copy);
    }

    public void LogReleaseFailed(Exception exception) => LogReleaseFailed(_logger, exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "the copy could not be told that content is not used any more: it is kept there until this mount ends")]
    private static partial void LogReleaseFailed(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Warning, Message = "the copy '{Copy}' cannot be reached; calls wait: {Reason}")]
    private static partial void LogAway(ILogger logger, CopyName copy, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "the copy '{Copy}' answers again")]
    private static partial void LogBack(ILogger logger, CopyName copy);

    [LoggerMessage(Level = LogLevel.Error, Message = "the copy '{Copy}' could not be reached for {Seconds:0} s: a call fails with EIO: {Reason}")]
    private static partial void LogGaveUp(ILogger logger, CopyName copy, double seconds, string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "the session is attached to the copy '{Copy}' anew")]
    private static partial void LogAttachedAnew(ILogger logger, CopyName copy);

    [LoggerMessage(Level = LogLevel.Information, Message = "the copy '{Copy}' takes no session at this moment: it is about to hand over to another")]
    private static partial void LogNotYet(ILogger logger, CopyName copy);

    [LoggerMessage(Level = LogLevel.Error, Message = "a lock on inode {Inode} was lost while the copy was away: {Error}")]
    private static partial void LogLockLost(ILogger logger, InodeNumber inode, Errno error);

    [LoggerMessage(Level = LogLevel.Error, Message = "a heartbeat failed")]
    private static partial void LogBeatFailed(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Information, Message = "the copy '{Copy}' was not told that the session ends, its lease will: {Reason}")]
    private static partial void LogNotDetached(ILogger logger, CopyName copy, string reason);
}
