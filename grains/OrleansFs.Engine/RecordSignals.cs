using System.Collections.Concurrent;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <summary>Wakes who waits for a file to get records. Thread-safe; takes no lock where nobody waits.</summary>
internal sealed class RecordSignals
{
    private readonly ConcurrentDictionary<InodeNumber, TaskCompletionSource> _waiting = new();

    /// <summary>Completes at the next signal for that file. Taken before one looks whether there is anything to wait for.</summary>
    public Task Next(InodeNumber inode) => _waiting.GetOrAdd(inode, _ => new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    public void Signal(InodeNumber inode)
    {
        if (!_waiting.IsEmpty && _waiting.TryRemove(inode, out var waiting))
            waiting.TrySetResult();
    }

    public void SignalAll()
    {
        foreach (var inode in _waiting.Keys)
            Signal(inode);
    }
}
