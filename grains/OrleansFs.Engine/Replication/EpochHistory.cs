using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>What the beginnings of its epochs (Kafka's leader epochs, KIP-101), and of its branches, say of two copies of a volume.</summary>
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

    /// <summary>The same by branches: also where one of the two was set back and has gone on, in the same epoch.</summary>
    /// <param name="branches">Those of the copy here, oldest first.</param>
    /// <param name="newest">The newest position here.</param>
    /// <param name="branch">That which the newest mutation of the other copy is in; null where it has none in any.</param>
    /// <param name="position">Its newest.</param>
    public static bool Leads(IReadOnlyList<Branch> branches, Lsn newest, Guid? branch, Lsn position)
    {
        bool isLater = branch is null;
        foreach (var known in branches)
        {
            if (isLater)
                return position <= known.Start;
            isLater = known.Id == branch;
        }
        return isLater && position <= newest;
    }
}
