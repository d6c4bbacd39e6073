using System.Collections.Concurrent;
using System.Diagnostics;
using System.Threading.Channels;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <summary>
/// Inodes without a name: each lives while a session holds it, and is purged, with its blocks' references, when the last one lets go. What a crash leaves is purged at the next opening.
/// </summary>
/// <remarks>An orphan is in <c>_held</c>, in the queue or among those that failed, never in none of them: it is put among the held before the sessions are asked, so that a session which lets go in between finds it there. One that is taken from the queue is put there once more: somebody may
/// hold it again, as who renews a lease after its end. Who begins to hold an orphan asks afterwards whether its purge is under way; a purge says that it is before it asks who holds it: one of the two sees the other.</remarks>
internal sealed class Orphanage(MetadataStore metadata, FileData files, TroubleLog trouble) : IDisposable
{
    private readonly ConcurrentQueue<InodeNumber> _failed = new();
    private readonly ConcurrentDictionary<InodeNumber, byte> _held = new();
    private readonly ConcurrentDictionary<IInodeHolder, byte> _sessions = new();

    /// <summary>Being purged, or purged in part.</summary>
    private readonly ConcurrentDictionary<InodeNumber, byte> _underWay = new();
    private readonly SemaphoreSlim _turn = new(1, 1);
    private IEnumerator<KeyValuePair<InodeNumber, byte>>? _round;

    /// <summary>Among the held are some for which the queue had no room.</summary>
    private bool _isMoreHeld;
    private readonly Channel<InodeNumber> _purges = Channel.CreateBounded<InodeNumber>(Limits.PurgeQueue);

    /// <summary>Whether no end of a session counts now, and nothing is purged: another copy goes on, or is about to, with the sessions and with what they have open.</summary>
    public Func<bool>? KeepsAll { get; init; }

    public void Attach(IInodeHolder session) => _sessions.TryAdd(session, 0);

    /// <summary>A session has ended and holds nothing any more.</summary>
    public void Detach(IInodeHolder session)
    {
        _sessions.TryRemove(session, out _);
        foreach (var inode in _held.Keys)
            Forget(inode);
    }

    /// <summary>The inode has lost its last name.</summary>
    public void Add(InodeNumber inode)
    {
        _held.TryAdd(inode, 0);
        Forget(inode);
    }

    /// <summary>The inode was made without a name. The session that made it holds it from now on, and is not asked yet: its answer may still be on the way.</summary>
    public void AddUnnamed(InodeNumber inode) => _held.TryAdd(inode, 0);

    /// <summary>The inode has a name again.</summary>
    public void Remove(InodeNumber inode) => _held.TryRemove(inode, out _);

    /// <summary>A session no longer knows the inode. Nothing happens unless it is an orphan that nobody else holds.</summary>
    public void Forget(InodeNumber inode)
    {
        if (_held.IsEmpty || !_held.ContainsKey(inode) || KeepsAll?.Invoke() == true)
            return;
        if (!IsHeld(inode) && _held.TryRemove(inode, out _))
            Queue(inode);
    }

    /// <summary>Whether the inode is being purged, so that nobody can hold it any more.</summary>
    public bool IsPurging(InodeNumber inode) => _underWay.ContainsKey(inode);

    /// <summary>Asks for some of those that are held, in turn, that they be let go where nobody uses them. By one caller at a time.</summary>
    public void AskToLetGo(int count)
    {
        _round ??= _held.GetEnumerator();
        for (; count > 0; count--)
        {
            if (!_round.MoveNext())
            {
                _round = null;
                return;
            }
            var inode = _round.Current.Key;
            foreach (var session in _sessions.Keys)
            {
                if (session.Holds(inode))
                    session.LetGo(inode);
            }
        }
    }

    /// <summary>Purges an orphan soon. Where the queue is full it stays among the held, of which those that nobody holds are queued when it has become empty. Never at once: who calls may have the metadata lock, and a purge takes the gate of a file.</summary>
    public void Queue(InodeNumber inode)
    {
        if (_purges.Writer.TryWrite(inode))
            return;
        _held.TryAdd(inode, 0);
        Volatile.Write(ref _isMoreHeld, true);
    }

    /// <summary>Purges what is queued, until cancelled.</summary>
    public async Task PurgeAsync(CancellationToken cancellation)
    {
        while (await _purges.Reader.WaitToReadAsync(cancellation))
        {
            if (KeepsAll?.Invoke() == true)
                await Task.Delay(Limits.RetryPause, cancellation);
            else
                await PurgeSomeAsync(cancellation);
        }
    }

    /// <summary>Purges some of what is queued: as much as <see cref="Limits.PurgeTurn"/> allows.</summary>
    /// <returns>False where nothing is left: what was queued before the call holds no blocks any more.</returns>
    public async Task<bool> PurgeSomeAsync(CancellationToken cancellation)
    {
        // By one at a time, so that who finds the queue empty knows that it is also done.
        await _turn.WaitAsync(cancellation);
        try
        {
            for (long began = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(began) < Limits.PurgeTurn;)
            {
                if (KeepsAll?.Invoke() == true || !_purges.Reader.TryRead(out var inode))
                    return false;
                long step = Stopwatch.GetTimestamp();
                bool isAll = Purge(inode);
                QueueMore();
                // Others come in between: the lock is not fair, so they are given as long as the step took.
                if (!isAll)
                    await Task.Delay(Stopwatch.GetElapsedTime(step) + TimeSpan.FromMilliseconds(1), cancellation);
            }
            return true;
        }
        finally
        {
            _turn.Release();
        }
    }

    /// <summary>Tries again what could not be purged, as on a disk that was full.</summary>
    public void PurgeAgain()
    {
        for (int failed = _failed.Count; failed > 0 && _failed.TryDequeue(out var inode); failed--)
            Queue(inode);
        QueueMore();
    }

    public void Dispose() => _turn.Dispose();

    private void QueueMore()
    {
        if (_purges.Reader.Count > 0 || KeepsAll?.Invoke() == true || !Interlocked.Exchange(ref _isMoreHeld, false))
            return;
        foreach (var held in _held.Keys)
            Forget(held);
    }

    private bool IsHeld(InodeNumber inode)
    {
        foreach (var session in _sessions.Keys)
        {
            if (session.Holds(inode))
                return true;
        }
        return false;
    }

    /// <returns>False where a part of it is left, which is in the queue.</returns>
    private bool Purge(InodeNumber number)
    {
        // One that is gone in part is nobody's any more.
        bool isBegun = !_underWay.TryAdd(number, 0);
        try
        {
            if (!isBegun && !TryTake(number))
                return true;
            isBegun = !PurgeUnheld(number);
            if (isBegun)
                Queue(number);
            return !isBegun;
        }
        catch (MetadataException e)
        {
            Fail(number);
            trouble.Tell($"the space of inode {number}, which has no name any more, cannot be given back", e);
            return true;
        }
        finally
        {
            if (!isBegun)
                _underWay.TryRemove(number, out _);
        }
    }

    /// <returns>False where somebody holds it, or has let go of it meanwhile: then it is in the queue again.</returns>
    private bool TryTake(InodeNumber number)
    {
        _held.TryAdd(number, 0);
        return !IsHeld(number) && _held.TryRemove(number, out _);
    }

    /// <returns>False where a part of it is left.</returns>
    private bool PurgeUnheld(InodeNumber number)
    {
        if (metadata.Acquire(number) is not { } inode)
            return true;
        try
        {
            if (inode.Snapshot().LinkCount > 0)
                return true;
            files.Discard(inode);
            bool isAll = PurgeUnnamed(number);
            // What has come in between: from here on nothing can.
            if (isAll)
                files.Discard(inode);
            return isAll;
        }
        finally
        {
            metadata.Release(inode);
        }
    }

    private bool PurgeUnnamed(InodeNumber number)
    {
        var result = metadata.PurgeOrphan(number, Limits.PurgeSegments);
        if (result.Error == Errno.EROFS)
            return false;
        if (result.Error == Errno.EAGAIN)
            return metadata.PurgeStep(number, Limits.PurgeSegments);
        return result.IsOk || result.Error is Errno.ESTALE or Errno.ENOENT or Errno.EBUSY ? true
            : throw new MetadataException(result.Error, 0, metadata.Trouble ?? $"errno {(int)result.Error}");
    }

    /// <summary>To be tried again. More than that are found again at the next opening.</summary>
    private void Fail(InodeNumber number)
    {
        if (_failed.Count < Limits.PurgeQueue)
            _failed.Enqueue(number);
    }
}
