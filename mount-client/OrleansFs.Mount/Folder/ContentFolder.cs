using System.Text;
using OrleansFs.Fuse;
using OrleansFs.Model;
using Errno = OrleansFs.Model.Errno;

namespace OrleansFs.Mount;

/// <summary>
/// What is in the folder <c>.orleansfs</c>: <c>block/HASH</c>, <c>file/HASH</c> and the reports. Nothing in it can be changed, and what has a hash in its name never changes.
/// </summary>
/// <remarks>
/// Content is held from its look-up until the kernel forgets it: the kernel keeps what is open known, also where it does not tell of opens. A copy that was started anew holds nothing; what is read then is
/// found again by its name.
/// </remarks>
/// <param name="volume">Asked for reports.</param>
/// <param name="content">Where content is.</param>
/// <param name="reports">What reports say.</param>
/// <param name="statistics">Of the mount; null until it is there.</param>
/// <param name="owner">Who may enter, besides root.</param>
internal sealed class ContentFolder(IVolumeAccess volume, IContentAccess content, FolderReports reports, Func<FuseStatistics?> statistics, FolderOwner owner)
{
    private const uint DirectoryMode = Mode.S_IFDIR | 0x140; // r-x for the owner
    private const uint FileMode = Mode.S_IFREG | 0x100; // r-- for the owner
    private readonly FolderNodes _nodes = new();

    /// <summary>Tells the kernel to forget a name in a directory of the folder, unless somebody uses it.</summary>
    public Action<InodeNumber, byte[]>? Prune { get; set; }

    public Attributes Root => Directory(FolderNodes.Folder);

    /// <summary>What the kernel knows of it stays true. Not so for reports: each look-up makes a new one.</summary>
    public bool IsKept(InodeNumber inode) => FolderNodes.IsDirectory(inode) || _nodes.Find(inode) is { Content: not null };

    public async ValueTask<FsResult<Attributes>> LookupAsync(InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation)
    {
        if (name.Span.SequenceEqual("."u8))
            return FolderNodes.IsDirectory(directory) ? Directory(directory) : _nodes.FindAgain(directory) is { } file ? Of(file) : Errno.ESTALE;
        if (directory == FolderNodes.Folder)
            return await LookupHereAsync(name, cancellation);
        if (!FolderNodes.IsDirectory(directory))
            return Errno.ENOTDIR;
        if (name.Span.SequenceEqual(".."u8))
            return Root;
        return BlockHash.TryParse(Encoding.Latin1.GetString(name.Span), out var hash)
            ? await LookupContentAsync(new ContentName(directory == FolderNodes.Blocks ? ContentKind.Block : ContentKind.File, hash), cancellation)
            : Errno.EINVAL;
    }

    public FsResult<Attributes> GetAttributes(InodeNumber inode) =>
        FolderNodes.IsDirectory(inode) ? Directory(inode) : _nodes.Find(inode) is { } file ? Of(file) : Errno.ESTALE;

    public static FsResult List(InodeNumber directory, long cookie, IDirectorySink sink)
    {
        // There may be a hundred million of them, and who is to see them knows their names.
        if (directory != FolderNodes.Folder)
            return FolderNodes.IsDirectory(directory) ? Errno.EACCES : Errno.ENOTDIR;
        byte type = Mode.DirectoryEntryType(Mode.S_IFDIR);
        (byte[] Name, InodeNumber Inode, byte Type)[] entries =
        [
            ("."u8.ToArray(), FolderNodes.Folder, type), (".."u8.ToArray(), InodeNumber.Root, type), ("block"u8.ToArray(), FolderNodes.Blocks, type), ("file"u8.ToArray(), FolderNodes.Files, type),
            .. FolderReports.Names.Select((name, i) => (name, FolderNodes.Listed(i), Mode.DirectoryEntryType(Mode.S_IFREG))),
        ];
        for (long at = Math.Max(0, cookie); at < entries.Length; at++)
        {
            var (name, inode, kind) = entries[at];
            if (!sink.TryAdd(name, inode, kind, at + 1, null))
                break;
        }
        return FsResult.Ok;
    }

    public async ValueTask<FsResult<int>> ReadAsync(InodeNumber inode, long offset, Memory<byte> destination, CancellationToken cancellation)
    {
        if (_nodes.Find(inode) is not { } file)
            return FolderNodes.IsDirectory(inode) ? Errno.EISDIR : Errno.ESTALE;
        if (file.Text is { } text)
        {
            int length = (int)Math.Clamp(text.Length - offset, 0, destination.Length);
            text.AsSpan((int)Math.Min(offset, text.Length), length).CopyTo(destination.Span);
            return length;
        }
        var name = file.Content!.Value;
        var result = await content.ReadAsync(name, offset, destination, cancellation);
        if (result.Error != Errno.EBADF)
            return result;
        // The copy was started anew, and holds nothing of what it held.
        var held = await content.HoldAsync(name, cancellation);
        return held.Error == Errno.ENOENT ? Errno.ESTALE : held.IsOk ? await content.ReadAsync(name, offset, destination, cancellation) : held.Error;
    }

    public FsResult<long> Seek(InodeNumber inode, long offset, SeekKind kind) =>
        _nodes.Find(inode) is not { } file ? Errno.EINVAL : offset < 0 || offset >= file.Size ? Errno.ENXIO : kind == SeekKind.Data ? offset : file.Size;

    public FsResult<ReadOnlyMemory<byte>> GetXattr(InodeNumber inode, ReadOnlySpan<byte> name) =>
        name.SequenceEqual(OwnXattr.Hash) && _nodes.Find(inode)?.Content is { } known ? new ReadOnlyMemory<byte>(Encoding.ASCII.GetBytes(known.Hash.ToString())) : Errno.ENODATA;

    /// <param name="inode">What the kernel forgets.</param>
    /// <param name="lookups">How many of its look-ups; at the end of a mount all.</param>
    public void Forget(InodeNumber inode, ulong lookups)
    {
        if (_nodes.Remove(inode, lookups) is not { } name)
            return;
        content.Release(name);
        // Looked up again in between, it was held already and is no more: the next read finds that out and holds it anew.
    }

    private async ValueTask<FsResult<Attributes>> LookupHereAsync(ReadOnlyMemory<byte> name, CancellationToken cancellation)
    {
        if (name.Span.SequenceEqual(".."u8))
            return await volume.GetAttributesAsync(InodeNumber.Root, cancellation);
        if (name.Span.SequenceEqual("block"u8))
            return Directory(FolderNodes.Blocks);
        if (name.Span.SequenceEqual("file"u8))
            return Directory(FolderNodes.Files);
        for (int i = 0; i < FolderReports.Names.Length; i++)
        {
            if (name.Span.SequenceEqual(FolderReports.Names[i]))
                return Of(_nodes.Add(await reports.WriteAsync(i, volume, statistics, cancellation)));
        }
        return Errno.ENOENT;
    }

    private async ValueTask<FsResult<Attributes>> LookupContentAsync(ContentName name, CancellationToken cancellation)
    {
        var held = await content.HoldAsync(name, cancellation);
        if (!held.TryGet(out var info, out var error))
            return error;
        if (_nodes.Add(name, info) is not { } file)
        {
            content.Release(name);
            return Errno.EMFILE;
        }
        foreach (var old in _nodes.TakeOldest())
            Prune?.Invoke(old.Kind == ContentKind.Block ? FolderNodes.Blocks : FolderNodes.Files, Encoding.ASCII.GetBytes(old.Hash.ToString()));
        return Of(file);
    }

    private Attributes Directory(InodeNumber inode) => Basic(inode, DirectoryMode, inode == FolderNodes.Folder ? 4u : 2u);

    private Attributes Of(FolderFile file) => Basic(file.Inode, FileMode, 1) with { Size = file.Size, AllocatedBytes = file.AllocatedBytes };

    /// <remarks>Immutable, so that an open for writing is refused, and a write where the kernel does not ask at an open.</remarks>
    private Attributes Basic(InodeNumber inode, uint mode, uint links) => new()
    {
        Inode = inode,
        Mode = mode,
        LinkCount = links,
        Uid = owner.Uid,
        Gid = owner.Gid,
        Flags = InodeFlags.Immutable,
    };
}

/// <summary>Whose the folder is: the user who mounts.</summary>
internal readonly partial record struct FolderOwner(uint Uid, uint Gid)
{
    public static FolderOwner Mounter => new(geteuid(), getegid());

    [System.Runtime.InteropServices.LibraryImport("libc")]
    private static partial uint geteuid();

    [System.Runtime.InteropServices.LibraryImport("libc")]
    private static partial uint getegid();
}
