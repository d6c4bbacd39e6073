using System.Collections.Concurrent;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <content>Taking a full copy.</content>
public sealed partial class ReplicaReceiver
{
    private IncomingCopy? _copy;

    private string IncomingPath => Path.Combine(_options.DataFolder, "meta.db.incoming");

    public ValueTask<ReplicaReply> BeginCopyAsync(CopyOffer offer, CancellationToken cancellation) =>
        Alone(offer.Epoch, volume =>
        {
            bool hasOwn = volume.Metadata.Volume.Epoch.Value > 0 && volume.Metadata.Committed > offer.Lsn;
            if (hasOwn && !offer.Discard)
                return Refusal($"the replica '{volume.Copy}' is at {volume.Metadata.Committed}, the copy offered at {offer.Lsn}: it would lose mutations");
            if (_copy is not { } copy || copy.Offer.Copy != offer.Copy)
            {
                DropCopy();
                MetadataCopy.Delete(IncomingPath);
                _copy = copy = new IncomingCopy(offer, IncomingPath);
                _follows = false;
                volume.ReplicaBlocks.TakesCopy = true;
            }
            return Answer(volume, ReplicaOutcome.Ok) with { Bytes = copy.Received };
        }, cancellation);

    public ValueTask<ReplicaReply> PutCopyAsync(Guid copy, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellation) =>
        Alone(null, volume =>
        {
            if (_copy is not { } incoming || incoming.Offer.Copy != copy || incoming.File is not { } file)
                return Answer(volume, ReplicaOutcome.Gap);
            if (offset == incoming.Received && offset + data.Length <= incoming.Offer.Bytes)
            {
                RandomAccess.Write(file, data.Span, offset);
                incoming.Received += data.Length;
            }
            return Answer(volume, ReplicaOutcome.Ok) with { Bytes = incoming.Received };
        }, cancellation);

    public ValueTask<ReplicaReply> WantedAsync(Guid copy, BlockHash after, CancellationToken cancellation) =>
        Alone(null, volume =>
        {
            if (_copy is not { } incoming || incoming.Offer.Copy != copy || incoming.Received != incoming.Offer.Bytes)
                return Answer(volume, ReplicaOutcome.Gap);
            if (incoming.Database is null && Complete(incoming, volume.Copy) is { } trouble)
            {
                DropCopy();
                return Refusal(trouble);
            }
            return NextWanted(volume, incoming, after, cancellation);
        }, cancellation);

    public async ValueTask<ReplicaReply> EndCopyAsync(Guid copy, CancellationToken cancellation)
    {
        await _gate.WaitAsync(cancellation);
        try
        {
            return await RunAsync(_master ?? default, async volume =>
            {
                if (_copy is not { Database: { } database } incoming || incoming.Offer.Copy != copy)
                    return Answer(volume, ReplicaOutcome.Gap);
                await MakeAllPlainAsync(volume, incoming, cancellation);
                await volume.BlockStore.Files.SyncAsync(volume.BlockStore.Files.LastSequence, cancellation);
                // Passed as being here, and found since not to be.
                foreach (var hash in volume.ReplicaBlocks.AllDamaged)
                    incoming.Outstanding[hash] = 0;
                incoming.MarkAbsent();
                await Task.Run(() => volume.Metadata.ReplaceWith(database), CancellationToken.None);
                // Not cut short: the next hello tells of the new position, and what is absent is found here and nowhere else.
                await volume.Metadata.DurableAsync(CancellationToken.None);
                DropCopy();
                MetadataCopy.Delete(IncomingPath);
                volume.ReplicaBlocks.Replaced();
                (_follows, _isSwept) = (true, false);
                volume.Announce(new VolumeChanges([], [], Everything: true));
                _logger.LogInformation("a full copy has been taken: the replica is at {Lsn}", volume.Metadata.Committed);
                return Answer(volume, ReplicaOutcome.Ok);
            });
        }
        finally
        {
            _gate.Release();
        }
    }

    private static string? Complete(IncomingCopy incoming, CopyName copy)
    {
        incoming.CloseFile();
        using (var content = File.OpenRead(incoming.Path))
        {
            if (new BlockHash(SHA256.HashData(content)) != incoming.Offer.Sha256)
                return "the copy of the metadata did not arrive whole";
        }
        try
        {
            var database = Database.Open(incoming.Path, MetadataLimits.CacheKibibytes);
            incoming.Database = database;
            MetadataCopy.MakeReplica(database, incoming.Path, copy);
            return null;
        }
        catch (Exception e) when (e is NotAVolumeException or NewerFormatException)
        {
            return e.Message;
        }
    }

    private ReplicaReply NextWanted(VolumeCopy volume, IncomingCopy incoming, BlockHash after, CancellationToken cancellation)
    {
        var wanted = new List<BlockHash>();
        int rows = 0;
        using var s = incoming.Database!.Prepare("SELECT hash FROM block WHERE hash > ?1 ORDER BY hash");
        s.Bind(1, after);
        while (rows < ReplicationLimits.WantedRows && wanted.Count < ReplicationLimits.WantedHashes && s.Step())
        {
            cancellation.ThrowIfCancellationRequested();
            rows++;
            after = s.Hash(0);
            if (volume.ReplicaBlocks.Has(after))
                continue;
            wanted.Add(after);
            incoming.Outstanding[after] = 0;
        }
        bool isLast = rows < ReplicationLimits.WantedRows && wanted.Count < ReplicationLimits.WantedHashes;
        s.Reset();
        return Answer(volume, ReplicaOutcome.Ok) with { Hashes = [.. wanted], Next = after, IsLast = isLast };
    }

    private void NoteStored(BlockHash hash) => _copy?.Outstanding.TryRemove(hash, out _);

    private async ValueTask<ReplicaReply> Alone(Epoch? epoch, Func<VolumeCopy, ReplicaReply> work, CancellationToken cancellation)
    {
        await _gate.WaitAsync(cancellation);
        try
        {
            return await Task.Run(() => Run(epoch ?? _master ?? default, work).AsTask(), CancellationToken.None);
        }
        finally
        {
            _gate.Release();
        }
    }

    private void DropCopy()
    {
        if (_copy is not { } copy)
            return;
        copy.Dispose();
        _copy = null;
        if (_volume is { } volume)
            volume.ReplicaBlocks.TakesCopy = false;
    }

    /// <summary>A database on its way. Guarded by the receiver's gate, but for what is outstanding.</summary>
    private sealed class IncomingCopy(CopyOffer offer, string path) : IDisposable
    {
        public CopyOffer Offer { get; } = offer;

        public string Path { get; } = path;

        public Microsoft.Win32.SafeHandles.SafeFileHandle? File { get; private set; } = System.IO.File.OpenHandle(path, FileMode.Create, FileAccess.Write);

        public long Received { get; set; }

        public Database? Database { get; set; }

        /// <summary>Asked for and not received: what is here at the end is had by nobody.</summary>
        public ConcurrentDictionary<BlockHash, byte> Outstanding { get; } = new();

        public void CloseFile()
        {
            File?.Dispose();
            File = null;
        }

        /// <summary>Rows whose block could not be had say so.</summary>
        public void MarkAbsent()
        {
            if (Outstanding.IsEmpty)
                return;
            Database!.Execute("BEGIN IMMEDIATE");
            using var row = Database.Prepare("UPDATE block SET residency = 0 WHERE hash = ?1");
            foreach (var hash in Outstanding.Keys)
                row.Bind(1, hash).Run();
            Database.Execute("UPDATE volume SET local_bytes = (SELECT coalesce(sum(stored), 0) FROM block WHERE residency = 1); COMMIT");
        }

        public void Dispose()
        {
            CloseFile();
            Database?.Dispose();
        }
    }
}
