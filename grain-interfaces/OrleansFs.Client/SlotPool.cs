namespace OrleansFs.Client;

/// <summary>The slots of a session (<see cref="GrainInterfaces.ChangeRequest"/>): who has one may have a change under way. All taken: the next waits.</summary>
/// <remarks>The slot given back last is taken first: one program at work uses one slot, whose reply the copy keeps in one place.</remarks>
internal sealed class SlotPool : IDisposable
{
    private readonly Lock _lock = new();
    private readonly SemaphoreSlim _count;
    private readonly Stack<int> _free;
    private readonly long[] _sequences;

    public SlotPool(int count)
    {
        _count = new SemaphoreSlim(count);
        _free = new Stack<int>(count);
        _sequences = new long[count];
        for (int i = count - 1; i >= 0; i--)
            _free.Push(i);
    }

    /// <summary>Takes a slot and the sequence of a new request in it.</summary>
    public async ValueTask<(int Slot, long Sequence)> TakeAsync(CancellationToken cancellation)
    {
        await _count.WaitAsync(cancellation);
        lock (_lock)
        {
            int slot = _free.Pop();
            return (slot, ++_sequences[slot]);
        }
    }

    public void Return(int slot)
    {
        lock (_lock)
            _free.Push(slot);
        _count.Release();
    }

    public void Dispose() => _count.Dispose();
}
