using System.Security.Cryptography;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <content>A full copy for a replica that is empty, or to which the journal does not lead.</content>
internal sealed partial class ReplicaSender
{
    /// <returns>The position of the copy, where the journal goes on.</returns>
    private async Task<Lsn> CopyAsync(bool discard)
    {
        State = ReplicaState.Copying;
        string path = $"{_volume.MetadataPath}.outgoing.{Name}";
        try
        {
            // The journal is held from here on: the copy is at this position or a later one.
            _master.Acknowledged(Name, Lsn.Zero, _volume.Metadata.Committed, LacksBlocks);
            // A transaction that a loss of power would take back must not be in the copy.
            var lsn = await Task.Run(() => MetadataCopy.Save(_volume.MetadataPath, path, _stop.Token), _stop.Token);
            await _volume.Metadata.VisibleDurableAsync(_stop.Token);
            _logger.LogInformation("the replica '{Name}' is given a full copy, as of mutation {Lsn}", Name, lsn);
            await SendDatabaseAsync(path, lsn, discard);
            Acknowledged(lsn);
            MayDiscard = false;
            return lsn;
        }
        finally
        {
            MetadataCopy.Delete(path);
        }
    }

    private async Task SendDatabaseAsync(string path, Lsn lsn, bool discard)
    {
        using var file = File.OpenHandle(path);
        var offer = new CopyOffer
        {
            Copy = Guid.NewGuid(),
            Epoch = Epoch,
            Bytes = RandomAccess.GetLength(file),
            Sha256 = await HashAsync(path),
            Lsn = lsn,
            Discard = discard,
        };
        var reply = await AskAsync(token => _link.BeginCopyAsync(offer, token));
        while (reply.Bytes < offer.Bytes)
        {
            byte[] piece = GC.AllocateUninitializedArray<byte>((int)Math.Min(ReplicationLimits.CopyPiece, offer.Bytes - reply.Bytes));
            long at = reply.Bytes;
            int read = await RandomAccess.ReadAsync(file, piece, at, _stop.Token);
            reply = await AskAsync(token => _link.PutCopyAsync(offer.Copy, at, piece.AsMemory(0, read), token));
            Interlocked.Add(ref _sentBytes, read);
        }
        var after = BlockHash.Hole;
        do
        {
            var from = after;
            reply = await AskAsync(token => _link.WantedAsync(offer.Copy, from, token));
            await ShipBlocksAsync(reply.Hashes, _stop.Token);
            after = reply.Next;
        }
        while (!reply.IsLast);
        await AskAsync(token => _link.EndCopyAsync(offer.Copy, token));
    }

    private async Task<BlockHash> HashAsync(string path)
    {
        await using var content = File.OpenRead(path);
        return new BlockHash(await SHA256.HashDataAsync(content, _stop.Token));
    }
}
