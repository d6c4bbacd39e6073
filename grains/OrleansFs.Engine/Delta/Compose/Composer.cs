using System.Buffers;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>Makes composed blocks of new ones where that saves at least half, and files of them again where they are read often or a source has to go.</summary>
/// <remarks>
/// <para>Composing: the row says how the block is made, and pins its sources; that is committed and on disk; then the block is put together and its SHA-256 computed; then the file goes, under the block's lock, where the row still says so. Flattening: the file is written; the row goes in a
/// transaction that waits for the file's sync. Killed in between, or without power: a file and a row, of which the row is good, and the file may be one that was not synced. The next start writes it anew and syncs it.</para>
/// <para>Sources are blocks that some file has, or a copy of one that is still in flight, and that are in a block file here: what nothing refers to is collected soon, and would have to be written again for that.</para>
/// </remarks>
internal sealed partial class Composer
{
    private readonly VolumeCopy _volume;
    private readonly BlockLocks _locks;
    private readonly PendingBlocks _pending;
    private readonly Committer _committer;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly DeltaGate _gate;
    private readonly DeltaTrail _trail = new();

    /// <summary>Those whose files go when their rows are on disk.</summary>
    private readonly List<BlockHash> _composed = [];
    private readonly CompositionWriter _writer = new();
    private readonly Channel<PlacedBlock> _new = Channel.CreateBounded<PlacedBlock>(new BoundedChannelOptions(DeltaLimits.ComposeQueue) { FullMode = BoundedChannelFullMode.DropOldest });
    private readonly Channel<BlockHash> _hot = Channel.CreateBounded<BlockHash>(new BoundedChannelOptions(DeltaLimits.HotQueue) { FullMode = BoundedChannelFullMode.DropOldest });

    public Composer(VolumeCopy volume, BlockLocks locks, PendingBlocks pending, Committer committer, TimeProvider time, ILogger logger)
    {
        _volume = volume;
        _locks = locks;
        _pending = pending;
        _committer = committer;
        _time = time;
        _logger = logger;
        _gate = new DeltaGate(DeltaMode.Auto, volume.BlockSize);
    }

    /// <summary>New blocks are taken note of.</summary>
    public bool IsOn { get; set; }

    /// <summary>Blocks have come into a manifest.</summary>
    public void Note(IReadOnlyList<ManifestBlock> blocks)
    {
        if (!IsOn)
            return;
        foreach (var block in blocks)
        {
            // Of others the content was stored before.
            if (block.WriteSequence > 0 && _volume.Delta.Notes.TryGet(block.Hash, out var note))
                _new.Writer.TryWrite(new PlacedBlock(note.Hash, note.Stream, note.Index, note.Base, note.Length, note.StoredBytes));
        }
    }

    /// <summary>A composed block is read often.</summary>
    public void NoteHot(BlockHash hash) => _hot.Writer.TryWrite(hash);

    /// <summary>Composes what is new, until cancelled.</summary>
    public async Task ComposeAsync(CancellationToken cancellation)
    {
        while (await _new.Reader.WaitToReadAsync(cancellation))
        {
            // Until those that were made with it are known, and their file names them.
            await Task.Delay(DeltaLimits.ComposePause, _time, cancellation);
            while (_new.Reader.TryPeek(out _))
                await ComposeOnceAsync(cancellation);
        }
    }

    /// <summary>Composes what has been made so far.</summary>
    /// <returns>How many blocks.</returns>
    public async Task<int> ComposeOnceAsync(CancellationToken cancellation)
    {
        var blocks = new List<PlacedBlock>();
        while (blocks.Count < DeltaLimits.ComposeBatch && _new.Reader.TryRead(out var block))
            blocks.Add(block);
        blocks = [.. blocks.DistinctBy(b => b.Hash).OrderBy(b => b.Stream).ThenBy(b => b.Index)];
        // What a former master has is left as it is.
        if (blocks.Count == 0 || _volume.FencedBy is not null)
            return 0;
        var tables = await _volume.Delta.Index.GetAsync(cancellation);
        int before = _composed.Count;
        foreach (var file in blocks.GroupBy(b => b.Stream))
        {
            // The index knows these already: none is to be made of itself. What another file has may be new, too: with pins it stays a source.
            List<PlacedBlock> own = [.. file];
            var targets = own.Select(b => b.Hash).ToHashSet();
            using var sources = new VolumeSources(_volume, tables, row => IsSource(row) && !targets.Contains(row.Hash));
            var runs = new RunEncoder(_volume, sources, _gate, _trail);
            for (int i = 0; i < own.Count;)
                i = await runs.NextAsync(own, i, Take, cancellation);
        }
        int count = _composed.Count - before;
        if (_composed.Count > 0 && (await _committer.DurableAsync(cancellation)).IsOk)
        {
            foreach (var hash in _composed)
                DeleteFile(hash);
            _composed.Clear();
        }
        return count;

        bool Take(in PlacedBlock block, ReadOnlySpan<byte> content, int start, ReadOnlySpan<DeltaCopy> copies)
        {
            bool done = TryCompose(block, content, start, copies);
            if (done)
                _composed.Add(block.Hash);
            return done;
        }
    }

    /// <summary>Puts the composed blocks that need a block back into files.</summary>
    /// <returns>False where that failed: the block must stay.</returns>
    public async ValueTask<bool> ReleaseAsync(BlockHash source, CancellationToken cancellation)
    {
        var flattened = new HashSet<BlockHash>();
        while (_volume.Metadata.MadeOf(source, DeltaLimits.ComposeBatch) is { Count: > 0 } made)
        {
            foreach (var hash in made)
            {
                cancellation.ThrowIfCancellationRequested();
                // Twice the same: the tables contradict each other, which fsck mends.
                if (!flattened.Add(hash) || !Flatten(hash))
                    return false;
            }
            if (!(await _committer.DurableAsync(cancellation)).IsOk)
                return false;
        }
        return true;
    }

    /// <summary>Puts blocks that are read often back into files, until cancelled; first those that a kill left with a file.</summary>
    public async Task FlattenAsync(CancellationToken cancellation)
    {
        await TidyAsync(cancellation);
        await foreach (var hash in _hot.Reader.ReadAllAsync(cancellation))
            Flatten(hash);
    }

    /// <summary>Writes a composed block to a file. Not on disk before the next commit. False where it cannot be put together or written.</summary>
    private bool Flatten(BlockHash hash)
    {
        if (!_volume.Metadata.TryGetBlock(hash, out var row))
            return true;
        // What a former master has is left as it is.
        if (_volume.FencedBy is not null || !_volume.AdmitsBlock(row.Length))
            return false;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(row.Length);
        try
        {
            var content = buffer.AsSpan(0, row.Length);
            if (_volume.BlockStore.Files.Read(hash, content) is not { IsOk: true } read || read.Length != row.Length || BlockHash.Of(content) != hash)
                return false;
            lock (_locks.For(hash))
            {
                if (!_volume.Metadata.IsComposed(hash))
                    return true;
                var stored = _volume.BlockStore.Files.Write(hash, content);
                _volume.Metadata.Decompose(hash, stored.StoredBytes, stored.WriteSequence);
            }
            return true;
        }
        catch (BlockStoreException e)
        {
            _logger.LogWarning("composed block {Hash} cannot be written to a file: {Reason}", hash, e.Message);
            return false;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Makes plain what has a file besides: the process was ended between the row and the end of the file, or between the new file and the end of the row. Such a file is not known to be on disk, and is written anew.</summary>
    private async Task TidyAsync(CancellationToken cancellation)
    {
        var after = BlockHash.Hole;
        while (_volume.Metadata.ComposedAfter(after, DeltaLimits.ComposeBatch) is [.., var last] hashes)
        {
            foreach (var hash in hashes)
            {
                cancellation.ThrowIfCancellationRequested();
                if (_volume.BlockStore.Files.DiskBytes(hash) is not null)
                    Flatten(hash);
            }
            after = last;
        }
        await _committer.CommitAsync(cancellation);
    }

    private bool IsSource(BlockRow row) =>
        (row.References > 0 || _pending.Contains(row.Hash)) && row.Residency != Residency.Absent && !_volume.BlockStore.Files.IsSuspect(row.Hash) && !_volume.Metadata.IsComposed(row.Hash)
        && !_volume.Verification.IsDamaged(row.Hash) && _volume.BlockStore.Files.DiskBytes(row.Hash) is not null;

    private bool TryCompose(in PlacedBlock block, ReadOnlySpan<byte> content, int start, ReadOnlySpan<DeltaCopy> copies) =>
        _writer.TryMake(block.Hash, content, start, copies, block.StoredBytes) is { } made && _volume.Metadata.Compose(made.Row, made.Sources, made.Row.Program.Length);

    /// <summary>The file of a block that is composed now goes; where somebody relies on it, or the block cannot be put together without it, it stays, and the block is plain again.</summary>
    private void DeleteFile(BlockHash hash)
    {
        // A window is matched by the sums of what is new, and a source may have rotted since it was read. Its pins keep it from here on.
        bool isRebuilt = IsRebuilt(hash);
        lock (_locks.For(hash))
        {
            if (!_volume.Metadata.IsComposed(hash) || _volume.BlockStore.Files.DiskBytes(hash) is not { } bytes)
                return;
            if (!isRebuilt)
                _logger.LogWarning("block {Hash} cannot be put together out of others, and is kept whole", hash);
            if (!isRebuilt || _pending.Contains(hash) || _volume.BlockStore.Files.IsSuspect(hash))
                _volume.Metadata.Decompose(hash, bytes, _volume.BlockStore.Files.LastSequence);
            else
                _volume.BlockStore.Files.Delete(hash);
        }
    }

    /// <summary>Whether a composed block is what its name says when it is made of its sources, as they are in their files now.</summary>
    private bool IsRebuilt(BlockHash hash)
    {
        if (_volume.BlockStore.Files.Composed is not { } composed || !_volume.Metadata.TryGetBlock(hash, out var row))
            return false;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(row.Length);
        try
        {
            var content = buffer.AsSpan(0, row.Length);
            return composed.IsReliable(hash) && composed.Read(hash, content) is { IsOk: true } read && read.Length == row.Length && BlockHash.Of(content) == hash;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}
