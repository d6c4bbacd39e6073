using Orleans;

namespace OrleansFs.Model;

/// <summary>What a hash is the name of.</summary>
[GenerateSerializer, Alias("ofs.ContentKind")]
public enum ContentKind
{
    /// <summary>One block: the SHA-256 of its bytes.</summary>
    Block = 1,

    /// <summary>The content of a file, whichever: the content hash.</summary>
    File = 2,
}

/// <summary>Content, named by what it is and not by where it is.</summary>
[GenerateSerializer, Immutable, Alias("ofs.ContentName")]
public readonly record struct ContentName([property: Id(0)] ContentKind Kind, [property: Id(1)] BlockHash Hash)
{
    public override string ToString() => Kind == ContentKind.Block ? $"block/{Hash}" : $"file/{Hash}";
}

/// <summary>Content by its name, in one copy, for one session. It never changes, so what was read once may be kept for ever.</summary>
/// <remarks>
/// Content is there as long as a file refers to it, or a lease, and then until it is collected; of the content of files that is: as long as some file has just that content. Held content stays readable for
/// the session whatever becomes of the files. What is not in block files here is fetched. Reading by hash passes by the permissions of files: who may is for the caller to say.
/// </remarks>
public interface IContentAccess
{
    /// <summary>Finds content and holds it until <see cref="Release"/>; holding twice is holding once. <c>ENOENT</c> where the copy has none of that name, <c>EMFILE</c> where as much is held as can be.</summary>
    ValueTask<FsResult<ContentInfo>> HoldAsync(ContentName content, CancellationToken cancellation);

    /// <summary>Reads held content up to the destination's length; fewer bytes only at its end. <c>EBADF</c> where it is not held, <c>EIO</c> where no copy can serve a block.</summary>
    ValueTask<FsResult<int>> ReadAsync(ContentName content, long offset, Memory<byte> destination, CancellationToken cancellation);

    void Release(ContentName content);
}

/// <summary>What there is of held content.</summary>
[GenerateSerializer, Immutable, Alias("ofs.ContentInfo")]
public readonly record struct ContentInfo
{
    /// <summary>Bytes.</summary>
    [Id(0)] public required long Size { get; init; }

    /// <summary>Bytes of its blocks, holes left out.</summary>
    [Id(1)] public required long AllocatedBytes { get; init; }
}

/// <summary>The folder at the root of each mount through which content is read by its hash. It is the mount's and no part of the volume.</summary>
public static class HashFolder
{
    /// <summary>Its name. In the root of a volume nothing of that name is made.</summary>
    public static ReadOnlySpan<byte> Name => ".orleansfs"u8;

    /// <summary>Whether a name in a directory is that of the folder.</summary>
    public static bool Is(InodeNumber directory, ReadOnlySpan<byte> name) => directory == InodeNumber.Root && name.SequenceEqual(Name);
}

/// <summary>Extended attributes that the volume answers itself: nothing of them is stored, and a copy of the file does not get them.</summary>
public static class OwnXattr
{
    public static ReadOnlySpan<byte> Prefix => "user.orleansfs."u8;

    /// <summary>The content hash, 64 hexadecimal digits. What is in flight becomes blocks first.</summary>
    public static ReadOnlySpan<byte> Hash => "user.orleansfs.hash"u8;

    /// <summary>Blocks of the file, holes left out; a block that it has twice counts twice.</summary>
    public static ReadOnlySpan<byte> Blocks => "user.orleansfs.blocks"u8;

    /// <summary>Bytes of its content that are in block files of this copy.</summary>
    public static ReadOnlySpan<byte> Local => "user.orleansfs.local"u8;

    /// <summary>Replicas that have every block of it.</summary>
    public static ReadOnlySpan<byte> Copies => "user.orleansfs.copies"u8;

    /// <summary>1 where every block is kept on the master's disk whatever its cache needs, else 0. Can be set, by the owner and root.</summary>
    public static ReadOnlySpan<byte> Pinned => "user.orleansfs.pinned"u8;

    /// <summary>1 where the file is append-only (<c>chattr +a</c>), else 0. Can be set, by root.</summary>
    public static ReadOnlySpan<byte> AppendOnly => "user.orleansfs.append_only"u8;

    public static bool Is(ReadOnlySpan<byte> name) => name.StartsWith(Prefix);

    /// <summary>Reads "0" or "1", with or without an end of line.</summary>
    public static bool TryReadFlag(ReadOnlySpan<byte> value, out bool flag)
    {
        var text = value.TrimEnd("\n\0"u8);
        flag = text.SequenceEqual("1"u8);
        return flag || text.SequenceEqual("0"u8);
    }
}
