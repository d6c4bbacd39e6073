using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Delta;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>One replica, as its master keeps it up to date: a task that says hello, finds out what the replica lacks, and sends it, for ever.</summary>
/// <remarks>
/// Invariants: 1. Rows leave only when the log is on disk here up to them. 2. Everything that waits is bounded by <see cref="ReplicationLimits"/>. 3. Whatever fails ends the connection, and the next hello finds
/// out anew; nothing that is remembered of a connection outlives it, but for what was acknowledged and what is damaged.
/// </remarks>
internal sealed partial class ReplicaSender : IDisposable
{
    private readonly ReplicationMaster _master;
    private readonly VolumeCopy _volume;
    private readonly IReplicaLink _link;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stop = new();
    private readonly SemaphoreSlim _work = new(0, 1);
    private readonly ConcurrentQueue<SealedNote> _sealed = new();
    private long _sealedSince;
    private readonly ConcurrentDictionary<BlockHash, byte> _damaged = new();

    /// <summary>There are damaged blocks that are not known: the number of the newest answer that said so, 0 where there are none.</summary>
    private int _damageMore;
    private int _damageTold;
    private readonly Lock _noting = new();
    private bool _isLackNoted;
    private volatile bool _hasAnswered;

    /// <summary>Hashes that are on the replica, found out in this connection.</summary>
    private readonly HashSet<BlockHash> _known = [];
    private Task _running = Task.CompletedTask;
    private int _isStopping;
    private Guid _run;
    private Lsn _acked;
    private (Lsn At, long Since)? _behind;
    private long _sentBytes;
    private long _fetchTicks = TimeSpan.TicksPerMillisecond;
    private Contact? _last;

    /// <summary>Set where it took nothing. Each try after that begins with a hello that is answered well: that it goes on is only known when it has taken something.</summary>
    private volatile Refusal? _unable;

    /// <summary>It answered last that it holds the volume, and takes nothing for now.</summary>
    private volatile bool _isUnwilling;

    public ReplicaSender(ReplicationMaster master, VolumeCopy volume, CopyName name, IReplicaLink link, TimeProvider time, ILogger logger)
    {
        _master = master;
        _volume = volume;
        Name = name;
        _link = link;
        _time = time;
        _logger = logger;
        _gate = new DeltaGate(volume.Delta.Mode, volume.BlockSize);
    }

    public CopyName Name { get; }

    public ReplicaState State { get; private set; }

    /// <summary>What is wrong, in one line; null when all is well.</summary>
    public string? Trouble { get; private set; }

    /// <summary>It may be given a full copy although it has what this master has not.</summary>
    public bool MayDiscard { get; set; }

    /// <summary>Whether it may be asked for blocks.</summary>
    public bool CanServe => State is ReplicaState.Ahead or ReplicaState.CatchingUp or ReplicaState.Following or ReplicaState.Copying or ReplicaState.Fenced or ReplicaState.Unable || (State == ReplicaState.Away && _isUnwilling);

    /// <summary>What a fetch took lately, ticks: a moving average.</summary>
    public long FetchTime => Volatile.Read(ref _fetchTicks);

    /// <summary>Bytes that it can still take, as it last said.</summary>
    public long FreeBytes => State == ReplicaState.Away ? 0 : _last?.Reply.FreeBytes ?? 0;

    private Epoch Epoch => _volume.Epoch;

    public void Start() => _running = Task.Run(RunAsync);

    /// <summary>Ends it. May be asked for again.</summary>
    /// <returns>False where what is under way does not end in time: it takes no answer any more, and must not be disposed.</returns>
    public async Task<bool> TryStopAsync()
    {
        if (Interlocked.Exchange(ref _isStopping, 1) == 0)
            await _stop.CancelAsync();
        try
        {
            await _running.WaitAsync(ReplicationLimits.StopTimeout, _time);
            return true;
        }
        catch (TimeoutException)
        {
            return _running.IsCompleted;
        }
    }

    public void Dispose()
    {
        _stop.Dispose();
        _work.Dispose();
    }

    /// <summary>There may be something to do.</summary>
    public void Wake()
    {
        try
        {
            if (_work.CurrentCount == 0)
                _work.Release();
        }
        catch (Exception e) when (e is SemaphoreFullException or ObjectDisposedException)
        {
            // Another has just woken it, or it has ended.
        }
    }

    /// <summary>Whether blocks are sent as they are made, before their commit.</summary>
    public bool TakesSealed => State == ReplicaState.Following && _sealed.Count < ReplicationLimits.SealedQueue;

    public void NoteSealed(in SealedNote note)
    {
        if (!TakesSealed)
            return;
        if (_sealed.IsEmpty)
            Volatile.Write(ref _sealedSince, _time.GetTimestamp());
        _sealed.Enqueue(note);
        Wake();
    }

    /// <summary>It has rows of blocks that it has not got, as far as it has said.</summary>
    public bool LacksBlocks => IsDamageMore || !_damaged.IsEmpty;

    /// <summary>It has said to this sender where it is and what it lacks. An answer that refuses says neither.</summary>
    public bool HasAnswered => _hasAnswered;

    private bool IsDamageMore => Volatile.Read(ref _damageMore) != 0;

    public bool IsDamaged(BlockHash hash) => IsDamageMore || _damaged.Count >= ReplicationLimits.DamagedRemembered || _damaged.ContainsKey(hash);

    public ReplicaReport Report(Lsn tail)
    {
        var last = _last;
        var behind = _behind;
        var unable = _unable;
        return new ReplicaReport
        {
            Name = Name.Value,
            State = unable is not null && State is (ReplicaState.Joining or ReplicaState.CatchingUp) ? ReplicaState.Unable : State,
            Lsn = _acked.Value,
            LagMutations = Math.Max(0, tail.Value - _acked.Value),
            LagSeconds = tail <= _acked ? 0 : behind is { } b ? _time.GetElapsedTime(b.Since).TotalSeconds : null,
            Blocks = last?.Reply.Blocks ?? 0,
            StoredBytes = last?.Reply.StoredBytes ?? 0,
            LastContact = last?.At,
            LastVerification = last?.Reply.LastVerification,
            Verification = last?.Reply.Verification,
            DamagedBlocks = _damaged.Count,
            SentBytes = Interlocked.Read(ref _sentBytes),
            BuiltBlocks = Interlocked.Read(ref _deltaBlocks),
            BuildBytes = Interlocked.Read(ref _deltaBytes),
            BuildSavedBytes = Interlocked.Read(ref _deltaSaved),
            BuildFailures = Interlocked.Read(ref _deltaFailed),
            BuildSeconds = TimeSpan.FromTicks(Interlocked.Read(ref _deltaTicks)).TotalSeconds,
            Trouble = Trouble ?? unable?.Reason,
        };
    }

    /// <summary>Asks the replica for blocks. Gives those that came and are what their names say; none where it fails.</summary>
    public async Task<IReadOnlyList<ShippedBlock>> FetchAsync(BlockHash[] hashes, CancellationToken cancellation)
    {
        long began = _time.GetTimestamp();
        try
        {
            var reply = await _link.FetchAsync(hashes, cancellation).AsTask().WaitAsync(ReplicationLimits.FetchTimeout, _time, cancellation);
            long taken = _time.GetElapsedTime(began).Ticks;
            Volatile.Write(ref _fetchTicks, (3 * FetchTime + taken) / 4);
            return reply.Blocks;
        }
        catch (Exception e) when (e is not OperationCanceledException || !cancellation.IsCancellationRequested)
        {
            // Asked last for a while: each success brings it back a little.
            Volatile.Write(ref _fetchTicks, Math.Max(FetchTime, ReplicationLimits.FetchTimeout.Ticks));
            _logger.LogInformation("blocks cannot be had from the replica '{Name}': {Reason}", Name, e.Message);
            return [];
        }
    }

    private async Task RunAsync()
    {
        var pause = ReplicationLimits.FirstPause;
        while (!_stop.IsCancellationRequested)
        {
            try
            {
                var from = await JoinAsync();
                pause = ReplicationLimits.FirstPause;
                await FollowAsync(from);
            }
            catch (OperationCanceledException) when (_stop.IsCancellationRequested)
            {
                return;
            }
            catch (Exception e)
            {
                Lost(e);
            }
            if (State == ReplicaState.Fenced)
                return;
            await PauseAsync(pause);
            pause = pause * 2 > ReplicationLimits.LongestPause ? ReplicationLimits.LongestPause : pause * 2;
        }
    }

    private void Lost(Exception e)
    {
        string reason = e.Message.ReplaceLineEndings(" ");
        if (State == ReplicaState.Ahead)
            NoteAhead();
        if (Trouble != reason)
            _logger.LogInformation("the replica '{Name}' is not being kept up to date now: {Reason}", Name, reason);
        Trouble = reason;
        _unable = e is ReplicaUnableException ? new Refusal(_acked, reason) : null;
        _isUnwilling = e is ReplicaUnwillingException;
        if (State is not (ReplicaState.Ahead or ReplicaState.Fenced))
            State = e is ReplicaUnableException ? ReplicaState.Unable : ReplicaState.Away;
    }

    private async Task PauseAsync(TimeSpan pause)
    {
        try
        {
            await Task.Delay(pause, _time, _stop.Token);
        }
        catch (OperationCanceledException)
        {
            // The loop sees it.
        }
    }

    /// <summary>Says hello, and gives the replica a full copy where the journal does not lead to where it is.</summary>
    /// <returns>Where the journal goes on.</returns>
    private async Task<Lsn> JoinAsync()
    {
        await ConfirmRoleAsync();
        var info = _volume.Metadata.Volume;
        var epochs = _volume.Metadata.Epochs();
        // Another start of the replica than the last connection had is what a hello may find.
        _run = default;
        var reply = await AskAsync(token => _link.HelloAsync(
            new MasterHello { Volume = info.Id, VolumeName = info.Name, BlockSize = info.BlockSize, Master = info.Copy, Epoch = info.Epoch, Epochs = _volume.Epochs, Composes = _volume.Composer.IsOn }, token));
        State = ReplicaState.Joining;
        _run = reply.Run;
        _known.Clear();
        _sealed.Clear();
        var position = reply.Position;
        if (reply.Epoch.Value == 0)
            return await CopyAsync(discard: false);
        var newest = _volume.Metadata.Committed;
        bool leads = EpochHistory.Leads(epochs, newest, reply.Epoch, position) && EpochHistory.Leads(_volume.Metadata.Branches(), newest, reply.Branch, position);
        if (!leads && !MayDiscard)
        {
            State = ReplicaState.Ahead;
            throw new ReplicaException($"the replica '{Name}' is at mutation {position} of epoch {reply.Epoch}, which this master (epoch {info.Epoch}, {newest}) has not got, or has others in their place; it is left alone");
        }
        using var reader = JournalReader.Open(_volume.MetadataPath);
        if (!leads || reader.Read(position, 1, 1) is null)
            return await CopyAsync(MayDiscard);
        Acknowledged(position);
        return position;
    }

    /// <summary>
    /// A master that was cut off may have been succeeded meanwhile, and the replica may not know of that yet: what it took from this one then would keep it from following the other.
    /// </summary>
    private async Task ConfirmRoleAsync()
    {
        if (_volume.ConfirmRole is not { } confirm)
            return;
        try
        {
            await confirm(_stop.Token).WaitAsync(ReplicationLimits.Patience, _time, _stop.Token);
        }
        catch (Exception e) when (!_stop.IsCancellationRequested)
        {
            _logger.LogInformation("whether another copy has taken over cannot be told now: {Reason}", e.Message.ReplaceLineEndings(" "));
        }
    }

    private void Acknowledged(Lsn position)
    {
        _acked = position;
        var tail = _volume.Metadata.Committed;
        _behind = tail <= position ? null : _behind is { } b && b.At > position ? b : (tail, _time.GetTimestamp());
        Trouble = null;
        if (position >= tail || position > (_unable?.At ?? position))
            _unable = null;
        // Before those who wait for it are told.
        if (State != ReplicaState.Following)
            State = position < tail ? ReplicaState.CatchingUp : ReplicaState.Following;
        lock (_noting)
        {
            _isLackNoted = LacksBlocks;
            _master.Acknowledged(Name, position, null, _isLackNoted);
        }
        // The answer that had the position was taken in before, with what it says of blocks.
        _hasAnswered = true;
    }

    /// <summary>Has the database say whether the replica lacks blocks, with the next commit: so it is known when the replica is away and this master is started anew.</summary>
    private void NoteLacking()
    {
        lock (_noting)
        {
            if (LacksBlocks == _isLackNoted)
                return;
            _isLackNoted = LacksBlocks;
            _master.Lacking(Name, _isLackNoted);
        }
    }

    /// <summary>What it acknowledged counts for nothing until it follows: in the mutations that are not here it may have collected any block. The database says so as of one that lacks some.</summary>
    private void NoteAhead()
    {
        lock (_noting)
        {
            if (!_isLackNoted)
                _master.Lacking(Name, lacks: true);
            _isLackNoted = true;
        }
        _hasAnswered = false;
    }

    /// <summary>Calls the replica, within a time, and looks at what it says.</summary>
    /// <exception cref="ReplicaException">It does not want to.</exception>
    private async ValueTask<ReplicaReply> AskAsync(Func<CancellationToken, ValueTask<ReplicaReply>> call, CancellationToken cancellation = default)
    {
        if (_volume.FencedBy is { } by)
        {
            // What this one has past the other's beginning is to reach no replica, also none that has not heard of the other.
            State = ReplicaState.Fenced;
            throw new ReplicaException($"another copy is the master since epoch {by}: the replica '{Name}' is sent nothing more");
        }
        using var both = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token, cancellation);
        var reply = await AnswerAsync(call(both.Token).AsTask(), both.Token);
        // Another may be sending in its place.
        _stop.Token.ThrowIfCancellationRequested();
        TakeDamaged(reply);
        _last = new Contact(reply, _time.GetUtcNow());
        switch (reply.Outcome)
        {
            case ReplicaOutcome.Fenced:
                State = ReplicaState.Fenced;
                await _volume.FenceAsync(reply.Epoch, reply.EpochStart);
                throw new ReplicaException($"the replica '{Name}' knows a newer master, of epoch {reply.Epoch}");
            case ReplicaOutcome.Gap:
                throw new ReplicaException($"the replica '{Name}' has lost its place");
            case ReplicaOutcome.Unable:
                NoteLacking();
                throw new ReplicaUnableException(reply.Trouble ?? $"the replica '{Name}' cannot take anything");
            case ReplicaOutcome.Refused when reply.Epoch.Value > 0:
                throw new ReplicaUnwillingException(reply.Trouble ?? $"the replica '{Name}' refuses");
            case ReplicaOutcome.Refused:
                throw new ReplicaException(reply.Trouble ?? $"the replica '{Name}' refuses");
            default:
                if (_run != default && reply.Run != _run)
                    throw new ReplicaException($"the replica '{Name}' has been started anew");
                return reply;
        }
    }

    /// <summary>What an answer says that is damaged, whatever else it says. That it names nothing says nothing: not every answer speaks of blocks.</summary>
    private void TakeDamaged(in ReplicaReply reply)
    {
        // There are more than an answer has room for: which, is not known.
        if (reply.Damaged.Length >= ReplicationLimits.DamagedPerReply)
            Volatile.Write(ref _damageMore, Interlocked.Increment(ref _damageTold));
        foreach (var hash in reply.Damaged)
            _damaged.TryAdd(hash, 0);
    }

    /// <summary>
    /// Waits for an answer. One that takes long is not waited for blindly: the replica is asked whether it is there at all, and still the same, so that a call to one that has gone or was started anew ends in seconds, and one
    /// that syncs a lot on a slow disk does not. A call whose answer was lost on the way ends with <see cref="ReplicationLimits.CallTimeout"/>.
    /// </summary>
    private async Task<ReplicaReply> AnswerAsync(Task<ReplicaReply> call, CancellationToken cancellation)
    {
        long began = _time.GetTimestamp();
        while (!await EndsAsync(call, ReplicationLimits.Patience, cancellation))
        {
            if (_time.GetElapsedTime(began) > ReplicationLimits.CallTimeout)
                throw new TimeoutException($"the replica '{Name}' did not do what it was asked within {ReplicationLimits.CallTimeout.TotalSeconds:0} s");
            var pulse = _link.PulseAsync(Epoch, cancellation).AsTask();
            if (!await EndsAsync(Task.WhenAny(call, pulse), ReplicationLimits.PulseTimeout, cancellation))
                throw new TimeoutException($"the replica '{Name}' does not answer");
            if (!call.IsCompleted && (await pulse).Run != _run && _run != default)
                throw new ReplicaException($"the replica '{Name}' has been started anew");
        }
        return await call;
    }

    /// <returns>False where it has not ended in time.</returns>
    private async Task<bool> EndsAsync(Task call, TimeSpan patience, CancellationToken cancellation)
    {
        try
        {
            await call.WaitAsync(patience, _time, cancellation);
        }
        catch (TimeoutException) when (!call.IsCompleted)
        {
            return false;
        }
        catch (Exception) when (call.IsCompleted)
        {
            // Whoever waits for it is told.
        }
        return true;
    }
}

/// <summary>What a replica last said.</summary>
internal sealed record Contact(ReplicaReply Reply, DateTimeOffset At);

/// <summary>That a replica can take nothing.</summary>
/// <param name="At">Where it stands.</param>
/// <param name="Reason">Why, as it says.</param>
internal sealed record Refusal(Lsn At, string Reason);

/// <summary>A replica cannot or will not go on: what it was told, in one line.</summary>
internal class ReplicaException(string message) : IOException(message);

/// <summary>It holds the volume and can be read, and takes nothing of this master for now: another may be about to become it.</summary>
internal sealed class ReplicaUnwillingException(string message) : ReplicaException(message);

/// <summary>It answers and can be read, and takes nothing: its disk is full, or fails.</summary>
internal sealed class ReplicaUnableException(string message) : ReplicaException(message);
