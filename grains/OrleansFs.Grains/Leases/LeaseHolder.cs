using Microsoft.Extensions.Logging;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains.Leases;

/// <summary>
/// The leases of one attachment of a session, and the messages that take them back: one is under way at a time, and what is recalled meanwhile goes with the next. Thread-safe.
/// </summary>
/// <remarks>
/// A client trusts its leases for a time after a heartbeat that was answered; the copy counts from when it answered, which is later, and for longer (<see cref="GrainInterfaces.Limits.CacheLease"/>). A client that does not
/// let go by then trusts nothing any more, and all its leases are void: it hears so, as another <see cref="Term"/>, with its next heartbeat, and begins with nothing.
/// </remarks>
internal sealed partial class LeaseHolder
{
    private readonly Lock _lock = new();
    private readonly LeaseTable _table;
    private readonly ISessionObserver _client;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly string _name;
    private readonly Action<long> _lapsed;
    private readonly HashSet<InodeNumber> _held = [];
    private readonly Queue<InodeNumber> _order = new();
    private RecallBatch? _next;
    private Task _sending = Task.CompletedTask;
    private long _renewed;
    private long _term = 1;
    private long? _voidSince;
    private bool _isEnded;

    /// <param name="table">The table.</param>
    /// <param name="client">The client.</param>
    /// <param name="name">Where and what, for the log.</param>
    /// <param name="time">The time.</param>
    /// <param name="logger">The log.</param>
    /// <param name="lapsed">Told before anybody goes on without the client, with the timestamp of when its leases were last renewed. May be told the same more than once.</param>
    public LeaseHolder(LeaseTable table, ISessionObserver client, string name, TimeProvider time, ILogger logger, Action<long> lapsed)
    {
        _lapsed = lapsed;
        _table = table;
        _client = client;
        _name = name;
        _time = time;
        _logger = logger;
        _renewed = time.GetTimestamp();
    }

    /// <summary>Grows when all leases have become void.</summary>
    public long Term => Volatile.Read(ref _term);

    /// <summary>The client was answered now: its leases hold for another while.</summary>
    public void Renew() => Volatile.Write(ref _renewed, _time.GetTimestamp());

    /// <summary>Notes a lease, new or given anew while it was being taken back; the table's lock is held.</summary>
    /// <returns>The oldest leases, where there is one too many: so many that it is long until the next are.</returns>
    public IReadOnlyList<InodeNumber> Add(InodeNumber inode)
    {
        _held.Add(inode);
        _order.Enqueue(inode);
        if (_order.Count <= Limits.LeasesOfSession)
            return [];
        var oldest = new List<InodeNumber>();
        while (_order.Count > Limits.LeasesOfSession - Limits.LeasesTakenBack)
        {
            // What was let go of in the meantime is passed over.
            var next = _order.Dequeue();
            if (_held.Contains(next) && next != inode)
                oldest.Add(next);
        }
        return oldest;
    }

    public void Forget(InodeNumber inode) => _held.Remove(inode);

    public InodeNumber[] TakeAll()
    {
        InodeNumber[] all = [.. _held];
        _held.Clear();
        _order.Clear();
        return all;
    }

    /// <summary>Puts an inode into the next message; the table's lock is held.</summary>
    /// <param name="inode">The inode.</param>
    /// <param name="isChanged">Whether others change it.</param>
    public RecallBatch Recall(InodeNumber inode, bool isChanged)
    {
        lock (_lock)
        {
            var batch = _next ??= new RecallBatch();
            batch.Inodes.Add(inode);
            batch.AreChanged |= isChanged;
            if (_isEnded)
            {
                _next = null;
                batch.Complete();
            }
            else if (_sending.IsCompleted)
            {
                _sending = Task.Run(SendAsync);
            }
            return batch;
        }
    }

    /// <summary>Completes when the client has let go of a batch, or trusts nothing any more.</summary>
    public async Task WhenGoneAsync(RecallBatch batch)
    {
        while (!batch.Gone.IsCompleted)
        {
            var rest = GrainInterfaces.Limits.CacheLease - _time.GetElapsedTime(Volatile.Read(ref _renewed));
            if (rest <= TimeSpan.Zero)
            {
                MakeVoid();
                return;
            }
            try
            {
                await batch.Gone.WaitAsync(rest, _time);
            }
            catch (TimeoutException)
            {
                // Renewed in the meantime, perhaps.
            }
        }
    }

    /// <summary>The attachment is over: its client trusts nothing that it was told under it.</summary>
    public void End()
    {
        lock (_lock)
        {
            _isEnded = true;
            _next?.Complete();
            _next = null;
        }
        _table.Remove(this);
    }

    private void MakeVoid()
    {
        _lapsed(Volatile.Read(ref _renewed));
        lock (_lock)
        {
            // Many wait for one client: what it held is void once.
            if (_isEnded || _voidSince == Volatile.Read(ref _renewed))
                return;
            _voidSince = Volatile.Read(ref _renewed);
        }
        Interlocked.Increment(ref _term);
        _table.Remove(this);
        LogVoid(_logger, _name, GrainInterfaces.Limits.CacheLease.TotalSeconds);
    }

    private async Task SendAsync()
    {
        while (true)
        {
            RecallBatch batch;
            lock (_lock)
            {
                if (_next is null)
                {
                    // Under the lock: who comes next starts anew.
                    _sending = Task.CompletedTask;
                    return;
                }
                batch = _next;
                _next = null;
            }
            if (await TrySendAsync(batch))
                _table.Acknowledged(this, batch);
            batch.Complete();
        }
    }

    /// <returns>Whether the client has let go. Where it has not, its leases are void when this returns.</returns>
    private async Task<bool> TrySendAsync(RecallBatch batch)
    {
        while (true)
        {
            try
            {
                await _client.RecallAsync([.. batch.Inodes], batch.AreChanged).WaitAsync(GrainInterfaces.Limits.CacheLease, _time);
                return true;
            }
            catch (Exception e)
            {
                LogNotReached(_logger, _name, e.Message);
            }
            lock (_lock)
            {
                if (_isEnded)
                    return false;
            }
            if (_time.GetElapsedTime(Volatile.Read(ref _renewed)) >= GrainInterfaces.Limits.CacheLease)
            {
                MakeVoid();
                return false;
            }
            await Task.Delay(Limits.RecallRetry, _time);
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "{Client} was not reached to take back what it caches: {Reason}")]
    private static partial void LogNotReached(ILogger logger, string client, string reason);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Client} did not give back what it caches within {Seconds:0} s and is taken for not caching any more")]
    private static partial void LogVoid(ILogger logger, string client, double seconds);
}
