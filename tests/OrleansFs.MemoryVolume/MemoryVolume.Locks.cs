using OrleansFs.Model;

namespace OrleansFs.MemoryVolume;

/// <summary>flock(2) and fcntl(2) locks across sessions. Who waits is woken by any release and tries again.</summary>
public sealed partial class MemoryVolume
{
    private readonly Dictionary<InodeNumber, List<FileLock>> _locks = [];
    private TaskCompletionSource _released = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private FileLock? Conflict(InodeNumber inode, FileLock wanted) =>
        _locks.TryGetValue(inode, out var held)
            ? held.Cast<FileLock?>().Where(other => other!.Value.WholeFile == wanted.WholeFile && other.Value.Owner != wanted.Owner && Overlap(other.Value, wanted)
                && (other.Value.Kind == LockKind.Write || wanted.Kind == LockKind.Write)).MinBy(other => other!.Value.Start)
            : null;

    private static bool Overlap(FileLock a, FileLock b) => a.Start <= b.End && b.Start <= a.End;

    private FsResult<FileLock> GetLock(InodeNumber inode, FileLock wanted)
    {
        var error = Find(inode, out _);
        return error != Errno.None ? error : Conflict(inode, wanted) ?? wanted with { Kind = LockKind.Unlock };
    }

    /// <summary>Null where the lock has to be waited for.</summary>
    private Errno? TrySetLock(InodeNumber inode, FileLock wanted)
    {
        var error = Find(inode, out _);
        if (error != Errno.None)
            return error;
        if (wanted.Kind != LockKind.Unlock && Conflict(inode, wanted) is not null)
        {
            // A flock that is converted is given up first.
            if (wanted.WholeFile && _locks[inode].RemoveAll(old => old.Owner == wanted.Owner && old.WholeFile) > 0)
                Release();
            return null;
        }
        if (!_locks.TryGetValue(inode, out var held))
            _locks.Add(inode, held = []);
        Carve(held, wanted);
        if (wanted.Kind != LockKind.Unlock)
            held.Add(wanted);
        if (held.Count == 0)
            _locks.Remove(inode);
        Release();
        return Errno.None;
    }

    private void Release()
    {
        _released.TrySetResult();
        _released = new(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    /// <summary>Takes the range out of what its owner holds, leaving what sticks out on either side.</summary>
    private static void Carve(List<FileLock> held, FileLock range)
    {
        var touched = held.FindAll(old => old.Owner == range.Owner && old.WholeFile == range.WholeFile && Overlap(old, range));
        foreach (var old in touched)
        {
            held.Remove(old);
            if (old.Start < range.Start)
                held.Add(old with { End = range.Start - 1 });
            if (old.End > range.End)
                held.Add(old with { Start = range.End + 1 });
        }
    }

    private async ValueTask<FsResult> SetLockAsync(InodeNumber inode, FileLock wanted, bool wait, CancellationToken cancellation)
    {
        while (true)
        {
            Task released;
            lock (_gate)
            {
                if (TrySetLock(inode, wanted) is { } outcome)
                    return outcome;
                if (!wait)
                    return Errno.EAGAIN;
                released = _released.Task;
            }
            try
            {
                await released.WaitAsync(cancellation);
            }
            catch (OperationCanceledException)
            {
                return Errno.EINTR;
            }
        }
    }
}
