using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>The contents of blocks that went to the disk past the page cache and are about to be sent to replicas, which would read them back. Thread-safe.</summary>
/// <remarks>
/// A content goes with the last of those it is kept for, or after <see cref="BlockLimits.FreshKept"/>. While <see cref="BlockLimits.FreshBytes"/> are taken no more come in: those who read take the oldest first, and would find
/// nothing if the oldest had to make room. The memory is used again (<see cref="Slabs"/>): to take it anew for each content would cost more than reading from the disk does.
/// </remarks>
internal sealed class FreshBlocks(TimeProvider time)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<BlockHash, FreshBlock> _blocks = [];
    private readonly Queue<FreshBlock> _order = new();
    private volatile Slabs? _memory;

    /// <summary>Bytes of memory, in use or to be used again.</summary>
    public long Bytes => _memory?.Bytes ?? 0;

    /// <param name="hash">The block.</param>
    /// <param name="content">Its content.</param>
    /// <param name="readers">How many will take it.</param>
    public void Add(BlockHash hash, ReadOnlySpan<byte> content, int readers)
    {
        if (readers == 0)
            return;
        Memory<byte> memory;
        lock (_lock)
        {
            ExpireNow();
            // All are of one length: of a volume all large blocks but the last of a file are as long as the first.
            _memory ??= new Slabs(content.Length, BlockLimits.FreshBytes, time);
            if (_blocks.ContainsKey(hash) || content.Length > _memory.Length || !_memory.TryTake(out memory))
                return;
        }
        content.CopyTo(memory.Span);
        lock (_lock)
        {
            var block = new FreshBlock(this, hash, memory, content.Length, time.GetTimestamp()) { Readers = readers, Uses = 1 };
            if (_blocks.TryAdd(hash, block))
                _order.Enqueue(block);
            else
                EndUse(block);
        }
    }

    /// <summary>Reads a content that stays; false where it is not here, or longer than what it is read into.</summary>
    public bool TryRead(BlockHash hash, Span<byte> destination, out int length)
    {
        length = 0;
        if (Bytes == 0 || Use(hash, takes: false) is not { } block)
            return false;
        using (block)
        {
            var content = block.Content.Span;
            if (content.Length > destination.Length)
                return false;
            content.CopyTo(destination);
            length = content.Length;
            return true;
        }
    }

    /// <summary>Gives a content to one of those it is kept for; null where it is not here.</summary>
    public FreshBlock? Take(BlockHash hash) => Bytes == 0 ? null : Use(hash, takes: true);

    /// <summary>The block is deleted.</summary>
    public void Forget(BlockHash hash)
    {
        if (Bytes == 0)
            return;
        lock (_lock)
        {
            if (_blocks.TryGetValue(hash, out var block))
                Remove(block);
        }
    }

    /// <summary>Lets go of what nobody has come for, and of all memory where nothing has come for a while.</summary>
    public void Expire()
    {
        if (Bytes == 0)
            return;
        lock (_lock)
        {
            ExpireNow();
            _memory?.Release(BlockLimits.FreshIdle);
            // The next may be longer.
            if (Bytes == 0)
                _memory = null;
        }
    }

    internal void Return(FreshBlock block, bool isLost)
    {
        lock (_lock)
        {
            block.IsLost |= isLost;
            EndUse(block);
        }
    }

    private FreshBlock? Use(BlockHash hash, bool takes)
    {
        lock (_lock)
        {
            if (!_blocks.TryGetValue(hash, out var block))
                return null;
            block.Uses++;
            if (takes && --block.Readers == 0)
                Remove(block);
            return block;
        }
    }

    private void ExpireNow()
    {
        while (_order.TryPeek(out var oldest) && (oldest.IsGone || time.GetElapsedTime(oldest.Since) >= BlockLimits.FreshKept))
        {
            _order.Dequeue();
            if (!oldest.IsGone)
                Remove(oldest);
        }
    }

    private void Remove(FreshBlock block)
    {
        _blocks.Remove(block.Hash);
        block.IsGone = true;
        EndUse(block);
    }

    private void EndUse(FreshBlock block)
    {
        if (--block.Uses > 0)
            return;
        if (block.IsLost)
            _memory?.Lose();
        else
            _memory?.Return(block.Memory);
    }
}

/// <summary>The content of a block, for as long as it is not disposed of.</summary>
internal sealed class FreshBlock(FreshBlocks owner, BlockHash hash, Memory<byte> memory, int length, long since) : IDisposable
{
    public BlockHash Hash => hash;

    public ReadOnlyMemory<byte> Content => memory[..length];

    internal Memory<byte> Memory => memory;

    internal long Since => since;

    internal int Readers { get; set; }

    internal int Uses { get; set; }

    internal bool IsGone { get; set; }

    internal bool IsLost { get; set; }

    /// <summary>Once for each time that it was given.</summary>
    public void Dispose() => owner.Return(this, isLost: false);

    /// <summary>In place of <see cref="Dispose"/>, where somebody may still be reading: the memory is not used again.</summary>
    public void Abandon() => owner.Return(this, isLost: true);
}
