using System.Threading.Channels;

namespace OrleansFs.Client;

/// <summary>The slots of a session (<see cref="GrainInterfaces.ChangeRequest"/>): who has one may have a change under way. All taken: the next waits.</summary>
internal sealed class SlotPool
{
    private readonly Channel<int> _free;
    private readonly long[] _sequences;

    public SlotPool(int count)
    {
        _free = Channel.CreateBounded<int>(count);
        _sequences = new long[count];
        for (int i = 0; i < count; i++)
            _free.Writer.TryWrite(i);
    }

    /// <summary>Takes a slot and the sequence of a new request in it.</summary>
    public async ValueTask<(int Slot, long Sequence)> TakeAsync(CancellationToken cancellation)
    {
        int slot = await _free.Reader.ReadAsync(cancellation);
        return (slot, ++_sequences[slot]); // The slot's owner alone writes here.
    }

    public void Return(int slot) => _free.Writer.TryWrite(slot);
}
