namespace OrleansFs.Fuse;

/// <summary>The kernel's name for an inode of one mount, chosen by the file system in its <see cref="EntryReply"/>. It is not an inode number.</summary>
/// <param name="Value">0 means "no node" (a negative entry), 1 is the root of the mount.</param>
public readonly record struct NodeId(ulong Value)
{
    /// <summary>The root of the mount; it is never looked up and never forgotten.</summary>
    public static NodeId Root => new(1);

    /// <summary>No node: what a negative directory entry carries.</summary>
    public static NodeId None => default;

    /// <inheritdoc/>
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}

/// <summary>What the file system answered to an open; the kernel hands it back with each operation on that open file.</summary>
/// <param name="Value">Any 64 bits; the kernel does not read them.</param>
public readonly record struct FileHandle(ulong Value);

/// <summary>How often the kernel takes back its knowledge of a node.</summary>
/// <param name="Node">The node.</param>
/// <param name="Lookups">By how much its lookup count goes down, at least 1.</param>
public readonly record struct NodeForget(NodeId Node, ulong Lookups);

/// <summary>A point in time as the kernel carries it.</summary>
/// <param name="Seconds">Seconds since 1970-01-01T00:00:00Z; negative before.</param>
/// <param name="Nanoseconds">0 to 999,999,999.</param>
public readonly record struct FuseTime(long Seconds, uint Nanoseconds);
