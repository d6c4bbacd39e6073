using OrleansFs.Engine.Delta;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <content>Blocks that the replica can build out of what it has, between the offer and the store.</content>
internal sealed partial class ReplicaSender
{
    private readonly DeltaGate _gate;
    private readonly DeltaWriter _writer = new();
    private readonly DeltaTrail _trail = new();
    private long _deltaTicks;
    private long _deltaBlocks;
    private long _deltaBytes;
    private long _deltaSaved;
    private long _deltaFailed;

    /// <summary>Whether the replica can build, and this master wants it to. In a full copy nothing is known of what it has.</summary>
    private bool Builds => _volume.Delta.Mode != DeltaMode.Off && State != ReplicaState.Copying && BuildVersion > 0;

    /// <summary>The form of instructions that both sides know.</summary>
    private byte BuildVersion => (byte)Math.Clamp(_last?.Reply.BuildVersion ?? 0, 0, DeltaProgram.Version);

    private bool _isIndexLate;

    /// <returns>Null where it is not there in time: blocks are sent whole then.</returns>
    private async Task<BlockIndex.Tables?> IndexAsync(CancellationToken cancellation)
    {
        var index = _volume.Delta.Index.GetAsync(cancellation);
        // Once is enough: a hand-over, or an fsync that waits for replicas, has not the time for more.
        if (_isIndexLate && !index.IsCompleted)
            return null;
        try
        {
            var tables = await index.WaitAsync(DeltaLimits.IndexTimeout, _time, cancellation);
            _isIndexLate = false;
            return tables;
        }
        catch (TimeoutException)
        {
            _isIndexLate = true;
            return null;
        }
    }

    /// <summary>Has the replica build what it can build out of what it has, where that saves enough.</summary>
    /// <returns>The blocks that it has not built.</returns>
    private async ValueTask<BlockHash[]> BuildAsync(BlockHash[] hashes, IReadOnlyDictionary<BlockHash, JournalPlace>? places, CancellationToken cancellation)
    {
        if (!Builds || hashes.Length == 0)
            return hashes;
        if (await IndexAsync(cancellation) is not { } tables)
            return hashes;
        using var sources = new VolumeSources(_volume, tables, Has);
        var round = new DeltaRound(this, cancellation);
        try
        {
            var blocks = hashes.Select(h => PlaceOf(h, places)).OrderBy(b => b.Stream).ThenBy(b => b.Index).ToList();
            var runs = new RunEncoder(_volume, sources, _gate, _trail);
            for (int i = 0; i < blocks.Count;)
            {
                i = await runs.NextAsync(blocks, i, Write, cancellation);
                round.Add(runs.Taken);
                if (_writer.Bytes >= DeltaLimits.MessageBytes || _writer.Count + RunEncoder.MostBlocks(_volume.BlockSize) > DeltaLimits.MessageBlocks)
                    await round.SendAsync();
            }
            Interlocked.Add(ref _deltaTicks, runs.Time.Ticks);
            await round.SendAsync();
        }
        finally
        {
            await round.EndAsync();
        }
        return round.Built.Count == 0 ? hashes : [.. hashes.Where(h => !round.Built.Contains(h))];
    }

    /// <summary>A block counts where the replica has acknowledged it, or has said in this connection that it has it.</summary>
    private bool Has(BlockRow row) => (row.Birth <= _acked || _known.Contains(row.Hash)) && !IsDamaged(row.Hash);

    private static Dictionary<BlockHash, JournalPlace> PlacesIn(List<JournalContent> contents)
    {
        var places = new Dictionary<BlockHash, JournalPlace>();
        foreach (var content in contents)
        {
            for (int i = 0; i < content.Blocks.Count; i++)
                places[content.Blocks[i].Hash] = content.Places[i];
        }
        return places;
    }

    /// <summary>Leaves out the last block of each run of a file: a match may reach into the block after it, which is sealed in the next moment, or never. The journal brings it with the others.</summary>
    private static BlockHash[] WithoutTails(List<SealedNote> notes)
    {
        var places = notes.Select(n => (n.Stream, n.Index)).ToHashSet();
        return [.. notes.Where(n => places.Contains((n.Stream, n.Index + 1))).Select(n => n.Hash)];
    }

    private PlacedBlock PlaceOf(BlockHash hash, IReadOnlyDictionary<BlockHash, JournalPlace>? places)
    {
        if (_volume.Delta.Notes.TryGet(hash, out var note))
            return new PlacedBlock(hash, note.Stream, note.Index, note.Base, note.Length, Math.Min(note.Length, note.StoredBytes));
        if (!_volume.Metadata.TryGetBlock(hash, out var row))
            return new PlacedBlock(hash, null, 0, BlockHash.Hole, 0, 0);
        // What is composed here is made whole to be sent.
        int stored = _volume.Metadata.IsComposed(hash) ? row.Length : (int)Math.Min(row.Length, row.StoredBytes);
        return places is not null && places.TryGetValue(hash, out var place)
            ? new PlacedBlock(hash, place.Manifest, place.Index, BlockHash.Hole, row.Length, stored)
            : new PlacedBlock(hash, null, 0, BlockHash.Hole, row.Length, stored);
    }

    /// <summary>Adds to the message what saves an eighth of a block at least.</summary>
    private bool Write(in PlacedBlock block, ReadOnlySpan<byte> content, int start, ReadOnlySpan<DeltaCopy> copies)
    {
        int copied = 0;
        foreach (var copy in copies)
            copied += copy.Length;
        // What is literal packs as well as the whole.
        double literal = (double)(block.Length - copied) * block.StoredBytes / block.Length;
        if (literal + copies.Length * 8 + BlockHash.Size >= block.StoredBytes * 7L / 8)
            return false;
        _writer.Add(block.Hash, content, start, copies);
        return true;
    }

    /// <summary>Messages of instructions on their way: one while the next is made.</summary>
    private sealed class DeltaRound(ReplicaSender sender, CancellationToken cancellation)
    {
        private readonly List<PlacedBlock> _written = [];
        private Task _sending = Task.CompletedTask;

        /// <summary>What the replica has built.</summary>
        public HashSet<BlockHash> Built { get; } = [];

        /// <summary>Blocks have been added to the message.</summary>
        public void Add(IReadOnlyList<PlacedBlock> blocks) => _written.AddRange(blocks);

        /// <summary>Sends the message that was written.</summary>
        public async ValueTask SendAsync()
        {
            await _sending;
            if (sender._writer.Count == 0)
                return;
            PlacedBlock[] blocks = [.. _written];
            _written.Clear();
            byte[] message = sender._writer.Take(h => sender._volume.Metadata.TryGetBlock(h, out var row) && row.Birth <= sender._acked, sender.BuildVersion);
            _sending = Task.Run(() => SendAsync(message, blocks), cancellation);
        }

        /// <summary>Waits for what is under way, also after a failure: nothing of it may go on when the sources are no longer held.</summary>
        public async ValueTask EndAsync()
        {
            sender._writer.Clear();
            await _sending;
        }

        private async Task SendAsync(byte[] message, PlacedBlock[] blocks)
        {
            var reply = await sender.AskAsync(token => sender._link.BuildAsync(sender.Epoch, message, token), cancellation);
            var failed = reply.Outcome == ReplicaOutcome.Lacking ? blocks.Select(b => b.Hash).ToHashSet() : [.. reply.Hashes, .. (reply.Unbuilt ?? []).Where(i => i < blocks.Length).Select(i => blocks[i].Hash)];
            long saved = -message.Length;
            foreach (var block in blocks.Where(b => !failed.Contains(b.Hash)))
            {
                Built.Add(block.Hash);
                saved += block.StoredBytes;
            }
            Interlocked.Add(ref sender._sentBytes, message.Length);
            Interlocked.Add(ref sender._deltaBytes, message.Length);
            Interlocked.Add(ref sender._deltaBlocks, blocks.Length - failed.Count);
            Interlocked.Add(ref sender._deltaSaved, saved);
            Interlocked.Add(ref sender._deltaFailed, failed.Count);
        }
    }
}
