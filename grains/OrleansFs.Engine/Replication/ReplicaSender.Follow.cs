using System.Threading.Channels;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Delta;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <content>Shipping the journal, and the blocks before it. Two halves: one ships the blocks that rows name, the other has the rows applied.</content>
internal sealed partial class ReplicaSender
{
    private readonly record struct Shipment(IReadOnlyList<JournalRow> Rows, BlockHash[] Gone);

    private async Task FollowAsync(Lsn from)
    {
        var shipments = Channel.CreateBounded<Shipment>(ReplicationLimits.QueuedShipments);
        using var end = CancellationTokenSource.CreateLinkedTokenSource(_stop.Token);
        var shipping = ShipAsync(from, shipments.Writer, end.Token);
        var applying = ApplyAsync(shipments.Reader, end.Token);
        // Whichever ends first ends the other; the failure of the first is the one to be told.
        var first = await Task.WhenAny(shipping, applying);
        await end.CancelAsync();
        await Task.WhenAll(shipping, applying).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        await first;
    }

    private async Task ShipAsync(Lsn cursor, ChannelWriter<Shipment> shipments, CancellationToken cancellation)
    {
        using var reader = JournalReader.Open(_volume.MetadataPath);
        long mended = _time.GetTimestamp();
        while (true)
        {
            // Also where there is always something to ship.
            if (LacksBlocks && _time.GetElapsedTime(mended) >= ReplicationLimits.Pulse)
            {
                await PulseAsync(cancellation);
                mended = _time.GetTimestamp();
            }
            var rows = reader.Read(cursor, ReplicationLimits.ShipmentBytes, ReplicationLimits.ShipmentRows)
                ?? throw new ReplicaException($"the journal does not go back to {cursor} any more");
            if (rows.Count == 0)
            {
                if (HoldsBack)
                    await Task.Delay(ReplicationLimits.HoldStep, _time, cancellation);
                else if (!await ShipSealedAsync(cancellation) && !await _work.WaitAsync(ReplicationLimits.Pulse, cancellation))
                    await PulseAsync(cancellation);
                continue;
            }
            var contents = rows.Select(r => JournalContent.Of(r.Effects.Span)).ToList();
            var blocks = contents.SelectMany(c => c.Blocks).Select(b => b.Hash).Where(h => !_known.Contains(h)).Distinct().ToArray();
            var places = Builds ? PlacesIn(contents) : null;
            var gone = await OfferAndShipAsync(blocks, places, cancellation);
            if (_volume.Metadata.Durable < rows[^1].Lsn)
                await _volume.Metadata.VisibleDurableAsync(cancellation);
            cursor = rows[^1].Lsn;
            if (cursor < _volume.Metadata.Committed && rows.Count == ReplicationLimits.ShipmentRows)
                State = ReplicaState.CatchingUp;
            await shipments.WriteAsync(new Shipment(rows, gone), cancellation);
        }
    }

    /// <summary>
    /// Whether blocks that no transaction names yet wait: somebody writes as fast as this machine can, and what sending them takes of it would be missing there. A writer who pauses, or syncs, has them sent; one who goes on waits for
    /// nobody, and they are sent beside him. Where an fsync waits for replicas there is nothing to be gained.
    /// </summary>
    private bool HoldsBack =>
        _volume.SyncCopies == 0 && _volume.InFlightBytes >= ReplicationLimits.HoldFrom && !_sealed.IsEmpty && _time.GetElapsedTime(Volatile.Read(ref _sealedSince)) < ReplicationLimits.HoldAtMost;

    private async Task ApplyAsync(ChannelReader<Shipment> shipments, CancellationToken cancellation)
    {
        await foreach (var shipment in shipments.ReadAllAsync(cancellation))
        {
            var gone = shipment.Gone;
            JournalEntry[] entries = [.. shipment.Rows.Select(r => new JournalEntry { Lsn = r.Lsn, Count = r.Count, Time = r.Time, Effects = r.Effects })];
            for (int round = 1; ; round++)
            {
                var message = new JournalShipment { Epoch = Epoch, Entries = entries, Gone = gone, Needed = _master.Needed() };
                var reply = await AskAsync(token => _link.ApplyAsync(message, token), cancellation);
                if (reply.Outcome == ReplicaOutcome.Ok)
                {
                    Acknowledged(reply.Position);
                    break;
                }
                if (round == ReplicationLimits.LackingRounds)
                    throw new ReplicaException($"the replica '{Name}' still lacks {reply.Hashes.Length} blocks that were sent to it");
                gone = [.. gone, .. await ShipBlocksAsync(reply.Hashes, cancellation)];
            }
        }
    }

    /// <summary>Ships blocks that were just stored, before the transaction that will name them.</summary>
    /// <returns>Whether there were any.</returns>
    private async ValueTask<bool> ShipSealedAsync(CancellationToken cancellation)
    {
        var notes = new List<SealedNote>();
        while (notes.Count < ReplicationLimits.OfferedHashes && _sealed.TryDequeue(out var note))
        {
            if (!_known.Contains(note.Hash))
                notes.Add(note);
        }
        var hashes = Builds ? WithoutTails(notes) : [.. notes.Select(n => n.Hash)];
        if (hashes.Length == 0)
            return notes.Count > 0;
        await OfferAndShipAsync(hashes, null, cancellation);
        return true;
    }

    /// <summary>Asks how the replica is, and sends again what is damaged there.</summary>
    private async ValueTask PulseAsync(CancellationToken cancellation)
    {
        await MendAsync(cancellation);
        NoteLacking();
    }

    private async ValueTask MendAsync(CancellationToken cancellation)
    {
        // What the other half hears of while this is asked may be newer than the answer.
        var (known, more) = (_damaged.Keys, Volatile.Read(ref _damageMore));
        var reply = await AskAsync(token => _link.PulseAsync(Epoch, token), cancellation);
        // What is told is all there is, unless it fills the answer: the rest of what was known has been mended, whoever did that.
        if (reply.Damaged.Length < ReplicationLimits.DamagedPerReply)
        {
            bool lacked = LacksBlocks;
            Interlocked.CompareExchange(ref _damageMore, 0, more);
            foreach (var mended in known.Except(reply.Damaged))
                _damaged.TryRemove(mended, out _);
            if (lacked && !LacksBlocks)
                _master.WakeWaiting();
        }
        if (reply.Damaged.Length == 0)
            return;
        var gone = await ShipBlocksAsync(reply.Damaged, cancellation);
        foreach (var hash in reply.Damaged.Except(gone))
            _damaged.TryRemove(hash, out _);
        if (!LacksBlocks)
            _master.WakeWaiting();
    }

    /// <returns>Blocks that could not be had here nor from another replica.</returns>
    private async ValueTask<BlockHash[]> OfferAndShipAsync(BlockHash[] hashes, IReadOnlyDictionary<BlockHash, JournalPlace>? places, CancellationToken cancellation)
    {
        var gone = new List<BlockHash>();
        foreach (var chunk in hashes.Chunk(ReplicationLimits.OfferedHashes))
        {
            // What was just made here is hardly there: it is offered together with the instructions to build it, if there are any.
            var made = chunk.Where(h => _volume.Delta.Notes.TryGet(h, out _)).ToHashSet();
            BlockHash[] offered = [.. chunk.Where(h => !made.Contains(h)), .. await BuildAsync([.. made], places, cancellation)];
            var missing = Array.Empty<BlockHash>();
            if (offered.Length > 0)
            {
                var reply = await AskAsync(token => _link.OfferAsync(Epoch, offered, token), cancellation);
                BlockHash[] lacking = [.. reply.Hashes.Where(made.Contains), .. await BuildAsync([.. reply.Hashes.Where(h => !made.Contains(h))], places, cancellation)];
                missing = await ShipBlocksAsync(lacking, cancellation);
            }
            gone.AddRange(missing);
            if (_known.Count + chunk.Length > ReplicationLimits.KnownHashes)
                _known.Clear();
            foreach (var hash in chunk.Except(missing))
                _known.Add(hash);
        }
        return [.. gone];
    }

    /// <summary>Sends blocks in messages, some at a time.</summary>
    /// <returns>Blocks that could not be had here nor from another replica.</returns>
    private async ValueTask<BlockHash[]> ShipBlocksAsync(BlockHash[] hashes, CancellationToken cancellation)
    {
        var gone = new System.Collections.Concurrent.ConcurrentBag<BlockHash>();
        int perMessage = Math.Max(1, ReplicationLimits.MessageBytes / _volume.BlockSize);
        await Parallel.ForEachAsync(
            hashes.Chunk(perMessage),
            new ParallelOptions { MaxDegreeOfParallelism = ReplicationLimits.MessagesUnderWay, CancellationToken = cancellation },
            async (chunk, token) =>
            {
                foreach (var hash in await ShipMessageAsync(chunk, token))
                    gone.Add(hash);
            });
        return [.. gone];
    }

    private async ValueTask<IReadOnlyCollection<BlockHash>> ShipMessageAsync(BlockHash[] hashes, CancellationToken cancellation)
    {
        var blocks = new List<ShippedBlock>(hashes.Length);
        var fresh = new List<FreshBlock>();
        bool isAnswered = false;
        try
        {
            Collect(hashes, blocks, fresh, out var elsewhere);
            if (elsewhere.Count > 0)
                blocks.AddRange(await _master.FetchAsync(elsewhere, Name, cancellation));
            if (blocks.Count > 0)
                await StoreAsync([.. blocks], cancellation);
            isAnswered = true;
        }
        finally
        {
            foreach (var block in fresh)
            {
                // Without an answer it may be on its way still.
                if (isAnswered)
                    block.Dispose();
                else
                    block.Abandon();
            }
        }
        return [.. hashes.Except(blocks.Select(b => b.Hash))];
    }

    /// <summary>What is here of some blocks: in memory, or in files.</summary>
    private void Collect(BlockHash[] hashes, List<ShippedBlock> blocks, List<FreshBlock> fresh, out List<BlockHash> elsewhere)
    {
        var files = _volume.BlockStore.Files;
        elsewhere = [];
        foreach (var hash in hashes)
        {
            if (files.TakeFresh(hash) is { } taken)
            {
                fresh.Add(taken);
                blocks.Add(new ShippedBlock { Hash = hash, Length = taken.Content.Length, IsCompressed = false, Payload = taken.Content });
            }
            else if (files.ReadStored(hash, out var block).IsOk)
            {
                blocks.Add(block);
            }
            else
            {
                elsewhere.Add(hash);
                _volume.Verification.NoteDamaged(hash);
            }
        }
    }

    private async ValueTask StoreAsync(ShippedBlock[] blocks, CancellationToken cancellation)
    {
        var reply = await AskAsync(token => _link.StoreAsync(Epoch, blocks, token), cancellation);
        if (reply.Hashes.Length > 0)
            throw new ReplicaException($"{reply.Hashes.Length} blocks did not arrive whole at the replica '{Name}'");
        Interlocked.Add(ref _sentBytes, blocks.Sum(b => (long)b.Payload.Length));
    }
}
