using Orleans;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>
/// The outcome of a change of names, with the attributes that it left behind, so that who asked for it need not ask for them: as the post-operation attributes of NFS (RFC 1813 section 2.6). The session holds a lease on whatever
/// is told here.
/// </summary>
[GenerateSerializer, Immutable, Alias("ofs.NameReply")]
public readonly record struct NameReply : IFsResult<NameReply>
{
    [Id(0)] public Errno Error { get; init; }

    /// <summary>What was made, linked or moved; null where that is gone, or nothing is told of it.</summary>
    [Id(1)] public Attributes? Inode { get; init; }

    /// <summary>The directory in which a name is another now; null where it is gone.</summary>
    [Id(2)] public Attributes? Directory { get; init; }

    /// <summary>Of a move to another directory, that one.</summary>
    [Id(3)] public Attributes? NewDirectory { get; init; }

    /// <summary>All inodes that are others now: also what had a name which it has lost, and may have more. Null where that is not known any more: the change was made before.</summary>
    [Id(4)] public InodeNumber[]? Changed { get; init; }

    static NameReply IFsResult<NameReply>.Failed(Errno error) => new() { Error = error };
}
