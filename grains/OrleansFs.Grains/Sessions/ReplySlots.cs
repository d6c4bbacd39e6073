using OrleansFs.Engine.Metadata;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains.Sessions;

/// <summary>
/// The replies that make a repeated request happen once: see <see cref="ChangeRequest"/>. A slot keeps the newest request's outcome, or the task that it will come from.
/// </summary>
internal sealed class ReplySlots
{
    private readonly Slot[] _slots;

    public ReplySlots(int count)
    {
        _slots = new Slot[count];
        for (int i = 0; i < count; i++)
            _slots[i] = new Slot();
    }

    public int Count => _slots.Length;

    /// <summary>Takes replies that an earlier run of the copy kept.</summary>
    public void Restore(IEnumerable<KeptReply> replies)
    {
        foreach (var reply in replies)
        {
            if ((uint)reply.Slot >= (uint)_slots.Length)
                continue;
            var entry = _slots[reply.Slot];
            lock (entry)
            {
                if (reply.Sequence > entry.Sequence)
                    (entry.Sequence, entry.Reply, entry.Kept) = (reply.Sequence, null, reply.Value);
            }
        }
    }

    /// <summary>Runs a new request, or gives the reply of one that has been run or is running.</summary>
    /// <param name="slot">The slot.</param>
    /// <param name="sequence">The request's place in it.</param>
    /// <param name="operation">What to do once.</param>
    /// <param name="replayed">Whether the reply is of an earlier arrival.</param>
    /// <param name="again">What is done, once, where the reply is of an earlier run: content that the change brought may have been lost with that run's memory. Where it fails the reply stays kept. Null: nothing.</param>
    /// <returns>The reply; <c>ESTALE</c> for a request older than the slot's newest, <c>EINVAL</c> for a slot that there is not.</returns>
    public ValueTask<TResult> RunAsync<TResult>(int slot, long sequence, Func<ValueTask<TResult>> operation, out bool replayed, Func<TResult, ValueTask<TResult>>? again = null)
        where TResult : struct, IFsResult<TResult>
    {
        replayed = false;
        if ((uint)slot >= (uint)_slots.Length || sequence <= 0)
            return new(TResult.Failed(Errno.EINVAL));
        var reply = new TaskCompletionSource<TResult>(TaskCreationOptions.RunContinuationsAsynchronously);
        var entry = _slots[slot];
        lock (entry)
        {
            if (sequence < entry.Sequence)
                return new(TResult.Failed(Errno.ESTALE));
            if (sequence == entry.Sequence)
            {
                replayed = true;
                if (entry.Kept is { } kept)
                {
                    if (!ReplyValue.TryRead(kept, out TResult earlierRun))
                        return new(TResult.Failed(Errno.EINVAL));
                    if (again is null)
                        return new(earlierRun);
                    operation = () => again(earlierRun);
                    (entry.Kept, entry.Reply) = (null, reply.Task);
                    return ExecuteAsync(entry, operation, reply, kept);
                }
                // Another type of result is another call: a client that gives two requests one name.
                return entry.Reply is Task<TResult> earlier ? new(earlier) : new(TResult.Failed(Errno.EINVAL));
            }
            entry.Sequence = sequence;
            (entry.Reply, entry.Kept) = (reply.Task, null);
        }
        return ExecuteAsync(entry, operation, reply);
    }

    private static async ValueTask<TResult> ExecuteAsync<TResult>(Slot slot, Func<ValueTask<TResult>> operation, TaskCompletionSource<TResult> reply, byte[]? kept = null)
        where TResult : struct, IFsResult<TResult>
    {
        try
        {
            var result = await operation().ConfigureAwait(false);
            if (result.Error == Errno.ENOTCONN || (kept is not null && result.Error != Errno.None))
                Forget(slot, reply.Task, kept);
            reply.SetResult(result);
            return result;
        }
        catch (Exception e)
        {
            if (kept is not null)
                Forget(slot, reply.Task, kept);
            reply.SetException(e);
            _ = reply.Task.Exception; // Observed: it goes to this caller, and to a repetition should there be one.
            throw;
        }
    }

    /// <summary>It is asked again under the same name: the session has ended, and the next one is; or the change was made by an earlier run, and what it brought is not there again yet.</summary>
    private static void Forget(Slot slot, Task reply, byte[]? kept)
    {
        lock (slot)
        {
            if (slot.Reply == reply)
                (slot.Sequence, slot.Reply, slot.Kept) = (kept is null ? slot.Sequence - 1 : slot.Sequence, null, kept);
        }
    }

    private sealed class Slot
    {
        public long Sequence;
        public Task? Reply;

        /// <summary>The reply as an earlier run of the copy kept it; then there is no task.</summary>
        public byte[]? Kept;
    }
}
