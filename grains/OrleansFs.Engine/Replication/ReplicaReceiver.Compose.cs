using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Delta;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <content>Keeping as pieces of others what came as instructions, where the master keeps its own so.</content>
/// <remarks>
/// A block is built and stored in a file like any other, and noted; when a transaction names it, its row says how it is made, and its file goes. What a transaction deletes must be no source any more, and what it says was stored anew
/// must be in a file: so composed blocks are put into files before it is applied. All that, and the change to another database, is done under <see cref="_gate"/>.
/// </remarks>
public sealed partial class ReplicaReceiver
{
    private readonly ReceivedCompositions _received = new();

    /// <summary>The master of this connection wants it.</summary>
    private volatile bool _composes;

    /// <summary>To be called before it is looked whether the blocks of the transactions are here.</summary>
    private static async ValueTask ReleaseAsync(VolumeCopy volume, IReadOnlyList<JournalContent> contents, CancellationToken cancellation)
    {
        var plain = contents.SelectMany(c => c.Collected).SelectMany(h => volume.Metadata.MadeOf(h, int.MaxValue)).Concat(contents.SelectMany(c => c.Stored)).ToHashSet();
        foreach (var hash in await volume.Composer.MakePlainAsync(plain, cancellation))
            volume.ReplicaBlocks.NoteDamaged(hash, BlockReadResult.Missing);
    }

    /// <summary>Rows of blocks have come that were built here: they are kept as they were built, where that saves enough. On disk with the next sync of the log; their files may go then.</summary>
    private IReadOnlyList<BlockHash> Compose(VolumeCopy volume, IReadOnlyList<JournalContent> contents)
    {
        var composed = volume.Composer.Compose(_received.Take(contents.SelectMany(c => c.Blocks).Select(b => b.Hash)));
        // Where it cannot be committed now, they have a file and a row until the next start.
        return composed.Count > 0 && volume.Metadata.Commit().IsOk ? composed : [];
    }

    /// <summary>Another database is about to take the place of this one, and knows of no composed block.</summary>
    private static async ValueTask MakeAllPlainAsync(VolumeCopy volume, IncomingCopy incoming, CancellationToken cancellation)
    {
        var after = BlockHash.Hole;
        while (volume.Metadata.ComposedAfter(after, DeltaLimits.ComposeBatch) is [.., var last] hashes)
        {
            foreach (var lost in await volume.Composer.MakePlainAsync(hashes, cancellation))
                incoming.Outstanding[lost] = 0;
            after = last;
        }
    }

    /// <summary>Puts blocks that are read often into files, for as long as this is a replica.</summary>
    private async Task FlattenAsync(VolumeCopy volume, CancellationToken cancellation)
    {
        while (volume.Role == VolumeRole.Replica)
        {
            var hash = await volume.Composer.NextHotAsync(cancellation);
            await _gate.WaitAsync(cancellation);
            try
            {
                if (volume.Role == VolumeRole.Replica)
                    await volume.Composer.MakePlainAsync([hash], cancellation);
            }
            catch (Exception e) when (e is BlockStoreException or MetadataException)
            {
                _logger.LogWarning("composed block {Hash} cannot be written to a file: {Reason}", hash, e.Message);
            }
            finally
            {
                _gate.Release();
            }
        }
        // A master does it by itself.
        await Task.Delay(Timeout.InfiniteTimeSpan, _time, cancellation);
    }
}
