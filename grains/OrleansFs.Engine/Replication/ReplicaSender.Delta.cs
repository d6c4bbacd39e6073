using OrleansFs.Engine.Delta;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <content>Blocks that the replica can build out of what it has, between the offer and the store.</content>
internal sealed partial class ReplicaSender
{
    private readonly DeltaGate _gate;
    private readonly DeltaWriter _writer = new();
    private long _deltaTicks;
    private long _deltaBlocks;
    private long _deltaBytes;
    private long _deltaSaved;
    private long _deltaFailed;

    /// <summary>Whether the replica can build, and this master wants it to. In a full copy nothing is known of what it has.</summary>
    private bool Builds => _volume.Delta.Mode != DeltaMode.Off && State != ReplicaState.Copying && _last?.Reply.BuildVersion >= DeltaProgram.Version;

    /// <summary>Sends blocks that the replica lacks: as instructions where that saves enough, else whole.</summary>
    /// <returns>Blocks that could not be had here nor from another replica.</returns>
    private async ValueTask<BlockHash[]> BuildOrShipAsync(BlockHash[] lacking, IReadOnlyDictionary<BlockHash, JournalPlace>? places, CancellationToken cancellation)
    {
        if (!Builds || lacking.Length == 0)
            return await ShipBlocksAsync(lacking, cancellation);
        var tables = await _volume.Delta.Index.GetAsync(cancellation).WaitAsync(DeltaLimits.IndexTimeout, _time, cancellation);
        using var sources = new VolumeSources(_volume, tables, Has);
        var round = new DeltaRound(this, cancellation);
        try
        {
            var blocks = lacking.Select(h => PlaceOf(h, places)).OrderBy(b => b.Stream).ThenBy(b => b.Index).ToList();
            var runs = new RunEncoder(_volume, sources, _gate, _time);
            for (int i = 0; i < blocks.Count;)
            {
                int next = await runs.NextAsync(blocks, i, Write, cancellation);
                round.Built(runs.Taken);
                for (; i < next; i++)
                {
                    if (!runs.Taken.Contains(blocks[i]))
                        await round.ShipAsync(blocks[i].Hash);
                }
                if (_writer.Bytes >= DeltaLimits.MessageBytes || _writer.Count + RunEncoder.MostBlocks(_volume.BlockSize) > DeltaLimits.MessageBlocks)
                    await round.SendAsync();
            }
            Interlocked.Add(ref _deltaTicks, runs.Time.Ticks);
        }
        finally
        {
            await round.EndAsync();
        }
        return [.. round.Gone];
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
        int stored = (int)Math.Min(row.Length, row.StoredBytes);
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

    /// <summary>What of one offer is on its way: messages of instructions, and whole blocks beside them.</summary>
    private sealed class DeltaRound(ReplicaSender sender, CancellationToken cancellation)
    {
        private readonly List<BlockHash> _whole = [];
        private readonly List<PlacedBlock> _building = [];
        private Task<BlockHash[]> _shipping = Task.FromResult<BlockHash[]>([]);
        private Task _sending = Task.CompletedTask;

        public List<BlockHash> Gone { get; } = [];

        public void Built(IReadOnlyList<PlacedBlock> blocks) => _building.AddRange(blocks);

        /// <summary>A block goes whole. As many as fill all messages under way go at once, while others are being encoded.</summary>
        public async ValueTask ShipAsync(BlockHash hash)
        {
            _whole.Add(hash);
            if ((long)_whole.Count * sender._volume.BlockSize >= (long)ReplicationLimits.MessagesUnderWay * ReplicationLimits.MessageBytes)
                await ShipWholeAsync();
        }

        /// <summary>Sends the instructions written so far. One message is under way while the next is made.</summary>
        public async ValueTask SendAsync()
        {
            await _sending;
            if (sender._writer.Count == 0)
                return;
            PlacedBlock[] blocks = [.. _building];
            _building.Clear();
            byte[] message = sender._writer.Take(h => sender._volume.Metadata.TryGetBlock(h, out var row) && row.Birth <= sender._acked);
            _sending = Task.Run(() => SendAsync(message, blocks), cancellation);
        }

        /// <summary>Ends what is under way, also after a failure: nothing of this may go on when the sources are no longer held.</summary>
        public async ValueTask EndAsync()
        {
            try
            {
                await SendAsync();
                await _sending;
                await ShipWholeAsync();
                await TakeShippedAsync();
            }
            finally
            {
                await Task.WhenAll(_sending, _shipping).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
                sender._writer.Clear();
            }
        }

        private async ValueTask ShipWholeAsync()
        {
            await TakeShippedAsync();
            BlockHash[] whole = [.. _whole];
            _whole.Clear();
            if (whole.Length > 0)
                _shipping = Task.Run(() => sender.ShipBlocksAsync(whole, cancellation).AsTask(), cancellation);
        }

        private async ValueTask TakeShippedAsync()
        {
            var gone = await _shipping;
            _shipping = Task.FromResult<BlockHash[]>([]);
            lock (Gone)
                Gone.AddRange(gone);
        }

        private async Task SendAsync(byte[] message, PlacedBlock[] blocks)
        {
            var reply = await sender.AskAsync(token => sender._link.BuildAsync(sender.Epoch, message, token), cancellation);
            Interlocked.Add(ref sender._sentBytes, message.Length);
            var failed = reply.Outcome == ReplicaOutcome.Lacking ? blocks.Select(b => b.Hash).ToHashSet() : [.. reply.Hashes];
            long built = 0, whole = 0;
            foreach (var block in blocks.Where(b => !failed.Contains(b.Hash)))
            {
                built++;
                whole += block.StoredBytes;
            }
            Interlocked.Add(ref sender._deltaBytes, message.Length);
            Interlocked.Add(ref sender._deltaBlocks, built);
            Interlocked.Add(ref sender._deltaSaved, whole - message.Length);
            Interlocked.Add(ref sender._deltaFailed, failed.Count);
            // What could not be built goes as it is.
            if (failed.Count > 0)
            {
                var gone = await sender.ShipBlocksAsync([.. failed], cancellation);
                lock (Gone)
                    Gone.AddRange(gone);
            }
        }
    }
}
