using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <content>Content by its hash.</content>
public sealed partial class VolumeCopy
{
    private ContentHolds Holds { get; } = new();

    /// <summary>Finds content and keeps it from collection until it is given to <see cref="Release"/>.</summary>
    internal async ValueTask<FsResult<HeldContent>> HoldAsync(ContentName name, CancellationToken cancellation)
    {
        try
        {
            var found = Find(name);
            if (found.Error != Errno.ENOENT || ReadOnly)
                return found;
            // What was synced may be in the redo log only, and has neither blocks nor a hash then.
            if (!(await _files.SettleLoggedAsync(cancellation)).TryGet(out bool more, out var error))
                return error;
            if (name.Kind != ContentKind.File)
                return more ? Find(name) : found;
            // Rows have their hash from the commit on. And some have none yet.
            more |= _metadata.HasPending;
            if (more && await _committer.CommitAsync(cancellation) is { IsOk: false, Error: var failed })
                return failed;
            more |= await Task.Run(HashUnhashed, cancellation);
            return more ? Find(name) : found;
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        catch (MetadataException e)
        {
            return e.Error;
        }
    }

    internal void Release(HeldContent content) => Holds.Release(content.Blocks);

    /// <summary>Reads held content. What is not here is fetched.</summary>
    internal async ValueTask<FsResult<int>> ReadAsync(HeldContent content, long offset, Memory<byte> destination, CancellationToken cancellation)
    {
        if (offset < 0)
            return Errno.EINVAL;
        int length = (int)Math.Clamp(content.Size - offset, 0, destination.Length);
        FetchAhead(content, offset, length);
        for (int done = 0; done < length;)
        {
            long index = (offset + done) / BlockSize;
            int within = (int)((offset + done) % BlockSize);
            var part = destination.Slice(done, Math.Min(BlockSize - within, length - done));
            var block = new BlockReference(content.Blocks[index], (int)Math.Min(BlockSize, content.Size - index * BlockSize));
            if (block.Hash.IsHole)
                part.Span.Clear();
            else if (await ReadPartAsync(block, within, part, cancellation) is var error and not Errno.None)
                return error;
            done += part.Length;
        }
        return length;
    }

    private async ValueTask<Errno> ReadPartAsync(BlockReference block, int within, Memory<byte> part, CancellationToken cancellation)
    {
        try
        {
            var read = await _blocks.ReadAsync(block, within, part, cancellation);
            if (!read.IsOk)
            {
                _logger.LogError("block {Hash}, asked for by its hash, cannot be read: {Reason}", block.Hash, read.Reason);
                return Errno.EIO;
            }
            part.Span[read.Length..].Clear();
            return Errno.None;
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
    }

    private void FetchAhead(HeldContent content, long offset, int length)
    {
        if (_blocks.Source is not { IsAlone: false } || length <= BlockSize)
            return;
        int first = (int)(offset / BlockSize);
        int last = (int)((offset + length - 1) / BlockSize);
        FetchAhead(content.Blocks[first..(last + 1)].Where(h => !h.IsHole).Distinct());
    }

    private FsResult<HeldContent> Find(ContentName name)
    {
        if (name.Kind == ContentKind.Block)
            return FindBlock(name.Hash);
        foreach (var inode in _metadata.FindByHash(name.Hash))
        {
            var held = Take(inode, name.Hash);
            if (held.Error != Errno.ENOENT)
                return held;
        }
        return Errno.ENOENT;
    }

    private FsResult<HeldContent> FindBlock(BlockHash hash)
    {
        int length = 0;
        bool refused = false;
        bool found = !hash.IsHole && _metadata.TryWithBlock(hash, row =>
        {
            length = row.Length;
            return !(refused = !Holds.TryHold([hash]));
        });
        return found ? new HeldContent([hash], length, length) : refused ? Errno.EMFILE : Errno.ENOENT;
    }

    /// <summary>Holds the committed content of a file, where its hash is the wanted one: it may be changing meanwhile.</summary>
    private FsResult<HeldContent> Take(InodeNumber inode, BlockHash wanted)
    {
        if (_metadata.CommittedSize(inode) is not { } size)
            return Errno.ENOENT;
        long count = ManifestHash.BlocksOf(size, BlockSize);
        if (count > Limits.HeldBlocks)
            return Errno.EMFILE;
        var blocks = new BlockHash[count];
        int held = 0;
        bool refused = false;
        for (int done = 0; done < count; done = held)
        {
            int take = (int)Math.Min(count - done, Limits.HoldStep);
            if (_metadata.TakeCommitted(inode, done, blocks.AsSpan(done, take), Hold) != size)
                break;
        }
        if (held == count && HashOf(blocks, size) == wanted)
            return new HeldContent(blocks, size, AllocatedBytes(blocks, size));
        Holds.Release(blocks.AsSpan(0, held));
        return refused ? Errno.EMFILE : Errno.ENOENT;

        bool Hold(ReadOnlySpan<BlockHash> part)
        {
            refused = !Holds.TryHold(part);
            held += refused ? 0 : part.Length;
            return !refused;
        }
    }

    private BlockHash HashOf(BlockHash[] blocks, long size)
    {
        if (blocks is [{ IsHole: false } only])
            return only;
        var builder = new ContentHashBuilder(BlockSize);
        foreach (var block in blocks)
            builder.Append(block);
        return builder.Finish(size);
    }

    private long AllocatedBytes(BlockHash[] blocks, long size)
    {
        long bytes = blocks.LongCount(b => !b.IsHole) * BlockSize;
        return blocks is [.., { IsHole: false }] && size % BlockSize != 0 ? bytes - BlockSize + size % BlockSize : bytes;
    }

    /// <returns>Whether any content hash has become known.</returns>
    private bool HashUnhashed()
    {
        bool any = false;
        while (_metadata.HashUnhashed(Limits.HashBatch) > 0)
            any = true;
        return any;
    }

    /// <summary>Once, at the start: content hashes that are not known. Those of very large files become so again with each change, and are computed when they are asked for.</summary>
    private async Task HashUnhashedAsync(CancellationToken cancellation)
    {
        while (_metadata.HashUnhashed(Limits.HashBatch) > 0 || IsYielding)
            await Task.Delay(Limits.CommitInterval, _time, cancellation);
        await Task.Delay(Timeout.InfiniteTimeSpan, _time, cancellation);
    }
}
