using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>What a name leads to.</summary>
/// <param name="Cookie">Its place in readdir.</param>
/// <param name="Inode">Its inode.</param>
/// <param name="Type">As in readdir.</param>
internal readonly record struct Dentry(long Cookie, InodeNumber Inode, byte Type);

/// <summary>Names that were looked up or made, and names that were found to be absent. Changed under the metadata lock, read without any.</summary>
/// <remarks>
/// <para>Invariant: what is in here is so in the tables, as of the last mutation that is complete. So a mutation takes the names that it touches out when it begins to change them, and puts in what they have become when
/// it cannot fail any more: a reader without the lock sees a name as it was before, or none, for which he takes the lock and waits.</para>
/// <para>An array with one place for each hash of a name: what comes takes the place of what is there. Bounded, and a lookup is one read of memory.</para>
/// </remarks>
internal sealed class DentryCache
{
    private readonly Entry?[] _places = new Entry?[MetadataLimits.CachedDentries];

    /// <summary>Looks a name up. False where it is not known here; the dentry is null where the name is known to be absent.</summary>
    public bool TryFind(InodeNumber parent, ReadOnlySpan<byte> name, out Dentry? dentry)
    {
        if (Volatile.Read(ref _places[PlaceOf(parent, name)]) is { } entry && entry.Parent == parent && name.SequenceEqual(entry.Name))
        {
            dentry = entry.Dentry;
            return true;
        }
        dentry = null;
        return false;
    }

    /// <param name="parent">The directory.</param>
    /// <param name="name">A name in it.</param>
    /// <param name="dentry">What it leads to; null where it is absent.</param>
    public void Put(InodeNumber parent, ReadOnlySpan<byte> name, Dentry? dentry) =>
        Volatile.Write(ref _places[PlaceOf(parent, name)], new Entry(parent, name.ToArray(), dentry));

    /// <summary>The name is about to change.</summary>
    public void Remove(InodeNumber parent, ReadOnlySpan<byte> name) => Volatile.Write(ref _places[PlaceOf(parent, name)], null);

    /// <summary>Anything may have changed.</summary>
    public void Clear() => Array.Clear(_places);

    private static int PlaceOf(InodeNumber parent, ReadOnlySpan<byte> name)
    {
        ulong hash = System.IO.Hashing.XxHash3.HashToUInt64(name, (long)parent.Value);
        return (int)(hash & (MetadataLimits.CachedDentries - 1));
    }

    private sealed record Entry(InodeNumber Parent, byte[] Name, Dentry? Dentry);
}
