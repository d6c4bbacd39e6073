using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>On a replica a block that is not here, or not whole, is asked for with the next answer to the master, who sends it; its readers wait for that.</summary>
internal sealed class ReplicaRepair(VolumeCopy volume, TimeSpan patience, TimeProvider time) : IBlockSource
{
    public bool IsAlone => false;

    public async ValueTask<ReadOnlyMemory<byte>?> FetchAsync(BlockHash hash, CancellationToken cancellation)
    {
        volume.ReplicaBlocks.NoteDamaged(hash, volume.BlockStore.Files.Inspect(hash));
        long began = time.GetTimestamp();
        while (volume.Metadata.TryGetBlock(hash, out var row) && time.GetElapsedTime(began) < patience)
        {
            if (row.Residency != Residency.Absent && !volume.ReplicaBlocks.IsDamaged(hash))
            {
                byte[] content = new byte[row.Length];
                return volume.BlockStore.Files.Read(hash, content).IsOk ? content : null;
            }
            await Task.Delay(ReplicationLimits.FetchPause, time, cancellation);
        }
        return null;
    }

    public async ValueTask<bool> FetchAndKeepAsync(BlockHash hash, CancellationToken cancellation) => await FetchAsync(hash, cancellation) is not null;

    public void FetchAhead(IReadOnlyList<BlockHash> hashes)
    {
        // A replica has everything, and what is damaged comes by itself.
    }
}
