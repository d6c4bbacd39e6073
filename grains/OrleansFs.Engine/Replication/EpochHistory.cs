using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>What the beginnings of its epochs say of two copies of a volume (Kafka's leader epochs, KIP-101).</summary>
internal static class EpochHistory
{
    /// <summary>Whether what another copy has, being at a position of an epoch, is a beginning of what is here.</summary>
    /// <param name="epochs">Those of the copy here, oldest first.</param>
    /// <param name="newest">The newest position here.</param>
    /// <param name="epoch">That of the other copy.</param>
    /// <param name="position">Its newest.</param>
    public static bool Leads(IReadOnlyList<EpochStart> epochs, Lsn newest, Epoch epoch, Lsn position)
    {
        if (!epochs.Any(e => e.Epoch == epoch))
            return false;
        foreach (var later in epochs)
        {
            if (later.Epoch.Value > epoch.Value)
                return position <= later.Start;
        }
        return position <= newest;
    }
}
