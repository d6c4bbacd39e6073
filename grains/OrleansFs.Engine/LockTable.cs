using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <summary>
/// Advisory locks of all sessions: fcntl(2) byte ranges, which split and merge, and flock(2), which cover a file. The two kinds do not see each other, as on Linux.
/// </summary>
/// <remarks>An owner is a session and its own number for the holder. Waiters are served in order of arrival as far as their ranges allow. A wait that would
/// close a cycle of fcntl waits is EDEADLK, as POSIX has it; flock has no such check, as on Linux. A flock that is converted is given up first, whatever
/// becomes of the new one (flock(2), fs/locks.c flock_lock_inode): two who have a shared one and want it exclusive do not wait for each other.</remarks>
internal sealed class LockTable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<InodeNumber, FileLocks> _files = [];

    /// <summary>
    /// Of the locks in the way of a wanted one the first in the file, or one of kind Unlock: who asks walks from one to the next behind it. That of another session, which may
    /// be on another machine, has no process id here.
    /// </summary>
    public FileLock Get(Guid session, InodeNumber inode, FileLock wanted)
    {
        lock (_lock)
        {
            var blocker = _files.TryGetValue(inode, out var file) ? file.Held.Where(h => h.Blocks(session, wanted)).MinBy(h => h.Lock.Start) : null;
            return blocker is null ? wanted with { Kind = LockKind.Unlock }
                : blocker.Session == session ? blocker.Lock
                : blocker.Lock with { Pid = 0 };
        }
    }

    /// <summary>Takes, changes or gives up a lock.</summary>
    /// <returns>EAGAIN where it is held and the caller does not wait, EDEADLK, EINTR when the wait is cancelled, EINVAL, ENOLCK where too many wait.</returns>
    public async ValueTask<FsResult> SetAsync(Guid session, InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation)
    {
        if (wanted.Start > wanted.End)
            return Errno.EINVAL;
        Waiter waiter;
        lock (_lock)
        {
            if (!_files.TryGetValue(inode, out var file))
                _files.Add(inode, file = new FileLocks());
            if (wanted.Kind == LockKind.Unlock || !file.Held.Exists(h => h.Blocks(session, wanted)))
            {
                Apply(inode, file, session, wanted);
                return FsResult.Ok;
            }
            bool isConverted = wanted.WholeFile && file.Held.RemoveAll(h => h.IsOf(session, wanted)) > 0;
            waiter = new Waiter(session, wanted);
            var refused = !wait ? Errno.EAGAIN
                : !wanted.WholeFile && WouldDeadlock(file, session, wanted) ? Errno.EDEADLK
                : file.Waiting.Count >= Limits.LockWaiters ? Errno.ENOLCK
                : Errno.None;
            if (refused == Errno.None)
                file.Waiting.Add(waiter);
            if (isConverted)
                Wake(inode, file);
            if (refused != Errno.None)
                return refused;
        }
        try
        {
            await waiter.Granted.Task.WaitAsync(cancellation);
            return FsResult.Ok;
        }
        catch (OperationCanceledException)
        {
            lock (_lock)
            {
                if (waiter.Granted.Task.IsCompletedSuccessfully)
                    return FsResult.Ok;
                // Gone with its session, where that has ended.
                if (_files.TryGetValue(inode, out var file) && file.Waiting.Remove(waiter))
                    Forget(inode);
                return Errno.EINTR;
            }
        }
    }

    /// <summary>A close gives up all fcntl locks that the owner has on the file.</summary>
    public void ReleaseOwner(Guid session, InodeNumber inode, ulong owner)
    {
        lock (_lock)
        {
            if (_files.TryGetValue(inode, out var file))
                Apply(inode, file, session, new FileLock { Kind = LockKind.Unlock, Start = 0, End = long.MaxValue, Owner = owner });
        }
    }

    /// <summary>A session is gone: all that it held and waited for goes.</summary>
    public void ReleaseSession(Guid session)
    {
        lock (_lock)
        {
            foreach (var (inode, file) in _files.ToArray())
            {
                file.Held.RemoveAll(h => h.Session == session);
                foreach (var waiter in file.Waiting.Where(w => w.Session == session).ToArray())
                {
                    file.Waiting.Remove(waiter);
                    waiter.Granted.TrySetCanceled();
                }
                Wake(inode, file);
            }
        }
    }

    private void Apply(InodeNumber inode, FileLocks file, Guid session, FileLock wanted)
    {
        var kept = new List<HeldLock>();
        foreach (var held in file.Held)
        {
            if (!held.IsOf(session, wanted))
            {
                kept.Add(held);
                continue;
            }
            // The owner's own lock gives way where the new one lies, and stays at either side of it.
            if (held.Lock.End < wanted.Start || held.Lock.Start > wanted.End)
            {
                kept.Add(held);
                continue;
            }
            if (held.Lock.Start < wanted.Start)
                kept.Add(held with { Lock = held.Lock with { End = wanted.Start - 1 } });
            if (held.Lock.End > wanted.End)
                kept.Add(held with { Lock = held.Lock with { Start = wanted.End + 1 } });
        }
        if (wanted.Kind != LockKind.Unlock)
            kept.Add(Merge(kept, new HeldLock(session, wanted)));
        file.Held.Clear();
        file.Held.AddRange(kept);
        Wake(inode, file);
    }

    /// <summary>Joins a new lock with those of the same owner and kind that touch it.</summary>
    private static HeldLock Merge(List<HeldLock> kept, HeldLock added)
    {
        for (int i = kept.Count - 1; i >= 0; i--)
        {
            var other = kept[i];
            bool touches = other.IsOf(added.Session, added.Lock) && other.Lock.Kind == added.Lock.Kind
                && other.Lock.Start <= added.Lock.End + 1 && added.Lock.Start <= other.Lock.End + 1;
            if (!touches)
                continue;
            added = added with { Lock = added.Lock with { Start = Math.Min(other.Lock.Start, added.Lock.Start), End = Math.Max(other.Lock.End, added.Lock.End) } };
            kept.RemoveAt(i);
        }
        return added;
    }

    private void Wake(InodeNumber inode, FileLocks file)
    {
        foreach (var waiter in file.Waiting.ToArray())
        {
            if (file.Held.Exists(h => h.Blocks(waiter.Session, waiter.Wanted)) || !file.Waiting.Remove(waiter))
                continue;
            Apply(inode, file, waiter.Session, waiter.Wanted);
            waiter.Granted.TrySetResult();
        }
        Forget(inode);
    }

    private void Forget(InodeNumber inode)
    {
        if (_files.TryGetValue(inode, out var file) && file.Held.Count == 0 && file.Waiting.Count == 0)
            _files.Remove(inode);
    }

    /// <summary>Whether somebody whom the caller would wait for waits, through others, for the caller.</summary>
    private bool WouldDeadlock(FileLocks file, Guid session, FileLock wanted)
    {
        var self = (session, wanted.Owner);
        var open = new Queue<(Guid Session, ulong Owner)>(file.Held.Where(h => h.Blocks(session, wanted)).Select(h => (h.Session, h.Lock.Owner)));
        var seen = new HashSet<(Guid, ulong)>();
        while (open.TryDequeue(out var owner))
        {
            if (owner == self)
                return true;
            if (!seen.Add(owner))
                continue;
            foreach (var other in _files.Values)
            {
                foreach (var waiter in other.Waiting.Where(w => !w.Wanted.WholeFile && (w.Session, w.Wanted.Owner) == owner))
                {
                    foreach (var blocker in other.Held.Where(h => h.Blocks(waiter.Session, waiter.Wanted)))
                        open.Enqueue((blocker.Session, blocker.Lock.Owner));
                }
            }
        }
        return false;
    }

    private sealed class FileLocks
    {
        public List<HeldLock> Held { get; } = [];

        public List<Waiter> Waiting { get; } = [];
    }

    private sealed record HeldLock(Guid Session, FileLock Lock)
    {
        public bool IsOf(Guid session, FileLock other) => Session == session && Lock.Owner == other.Owner && Lock.WholeFile == other.WholeFile;

        public bool Blocks(Guid session, FileLock wanted) =>
            Lock.WholeFile == wanted.WholeFile && !IsOf(session, wanted) && Lock.Start <= wanted.End && wanted.Start <= Lock.End
            && (Lock.Kind == LockKind.Write || wanted.Kind == LockKind.Write);
    }

    private sealed class Waiter(Guid session, FileLock wanted)
    {
        public Guid Session { get; } = session;

        public FileLock Wanted { get; } = wanted;

        public TaskCompletionSource Granted { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }
}
