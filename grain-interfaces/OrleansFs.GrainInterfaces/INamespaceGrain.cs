using Orleans;
using Orleans.Concurrency;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>
/// Names and attributes of one copy of a volume. Key: <see cref="NamespaceKey"/>. What each call does and which errno it answers is said at
/// <see cref="IVolumeAccess"/>; every call may also answer <see cref="Errno.ENOTCONN"/> (<see cref="SessionTicket"/>)
/// and <see cref="Errno.EBUSY"/> (the copy has as much to do as it will queue: ask again, a change with a new sequence), and each change happens once (<see cref="ChangeRequest"/>).
/// </summary>
/// <remarks>Memory is not copied on the way within a process: who passes it does not change it until the call has been answered.</remarks>
[Alias("ofs.INamespaceGrain")]
public interface INamespaceGrain : IGrainWithStringKey
{
    [Alias("Lookup"), ReadOnly]
    ValueTask<FsResult<Attributes>> LookupAsync(SessionTicket session, InodeNumber directory, [Immutable] ReadOnlyMemory<byte> name, CancellationToken cancellation);

    [Alias("GetAttributes"), ReadOnly]
    ValueTask<FsResult<Attributes>> GetAttributesAsync(SessionTicket session, InodeNumber inode, CancellationToken cancellation);

    [Alias("SetAttributes"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult<Attributes>> SetAttributesAsync(ChangeRequest request, InodeNumber inode, AttributeChange change, Caller caller, CancellationToken cancellation);

    [Alias("ReadLink"), ReadOnly]
    ValueTask<BytesReply> ReadLinkAsync(SessionTicket session, InodeNumber inode, CancellationToken cancellation);

    [Alias("Create")]
    ValueTask<NameReply> CreateAsync(ChangeRequest request, InodeNumber directory, [Immutable] ReadOnlyMemory<byte> name, NewInode inode, Caller caller,
        CancellationToken cancellation);

    [Alias("CreateUnnamed")]
    ValueTask<FsResult<Attributes>> CreateUnnamedAsync(ChangeRequest request, InodeNumber directory, NewInode inode, Caller caller, CancellationToken cancellation);

    [Alias("Link")]
    ValueTask<NameReply> LinkAsync(ChangeRequest request, InodeNumber inode, InodeNumber directory, [Immutable] ReadOnlyMemory<byte> name, CancellationToken cancellation);

    [Alias("Unlink")]
    ValueTask<NameReply> UnlinkAsync(ChangeRequest request, InodeNumber directory, [Immutable] ReadOnlyMemory<byte> name, CancellationToken cancellation);

    [Alias("RemoveDirectory")]
    ValueTask<NameReply> RemoveDirectoryAsync(ChangeRequest request, InodeNumber directory, [Immutable] ReadOnlyMemory<byte> name, CancellationToken cancellation);

    /// <remarks>A file that takes the place of another is sealed first, which may take a while.</remarks>
    [Alias("Rename"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<NameReply> RenameAsync(ChangeRequest request, InodeNumber directory, [Immutable] ReadOnlyMemory<byte> name, InodeNumber newDirectory,
        [Immutable] ReadOnlyMemory<byte> newName, RenameFlags flags, Caller caller, CancellationToken cancellation);

    /// <param name="session">The session.</param>
    /// <param name="directory">The directory.</param>
    /// <param name="cookie">Where to begin: 0, or the cookie of the last entry that the reader took.</param>
    /// <param name="maxEntries">1 to <see cref="Limits.MaxDirectoryEntries"/>.</param>
    /// <param name="withAttributes">Whether to give attributes too.</param>
    /// <param name="flags">How.</param>
    /// <param name="cancellation">Cancels the wait.</param>
    [Alias("ReadDirectory"), ReadOnly]
    ValueTask<FsResult<DirectoryPage>> ReadDirectoryAsync(SessionTicket session, InodeNumber directory, long cookie, int maxEntries, bool withAttributes, ReadFlags flags,
        CancellationToken cancellation);

    [Alias("GetXattr"), ReadOnly]
    ValueTask<BytesReply> GetXattrAsync(SessionTicket session, InodeNumber inode, [Immutable] ReadOnlyMemory<byte> name, CancellationToken cancellation);

    [Alias("SetXattr")]
    ValueTask<FsResult> SetXattrAsync(ChangeRequest request, InodeNumber inode, [Immutable] ReadOnlyMemory<byte> name, [Immutable] ReadOnlyMemory<byte> value, XattrFlags flags,
        CancellationToken cancellation);

    [Alias("ListXattr"), ReadOnly]
    ValueTask<BytesReply> ListXattrAsync(SessionTicket session, InodeNumber inode, CancellationToken cancellation);

    [Alias("RemoveXattr")]
    ValueTask<FsResult> RemoveXattrAsync(ChangeRequest request, InodeNumber inode, [Immutable] ReadOnlyMemory<byte> name, CancellationToken cancellation);

    [Alias("GetSpace"), ReadOnly]
    ValueTask<FsResult<SpaceReport>> GetSpaceAsync(SessionTicket session, CancellationToken cancellation);

    /// <summary>syncfs(2). Doing it twice does no harm, so it needs no slot.</summary>
    [Alias("SyncAll"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult> SyncAllAsync(SessionTicket session, CancellationToken cancellation);

    /// <summary>
    /// Makes a copy of a file beside it, <c>name.conflict-CLIENT-TIME.ext</c>, for what the session has still to write to the file as it was before others changed it (<see cref="SessionGrant.Lapsed"/>). One that is there
    /// under the name is begun anew. <c>ENOENT</c> for a file without a name.
    /// </summary>
    /// <param name="request">The request.</param>
    /// <param name="inode">The file.</param>
    /// <param name="since">From when on others changed it.</param>
    /// <param name="cancellation">Cancels the wait.</param>
    [Alias("SetAside"), ResponseTimeout(Limits.LongCallTimeout)]
    ValueTask<FsResult<AsideFile>> SetAsideAsync(ChangeRequest request, InodeNumber inode, Timestamp since, CancellationToken cancellation);

    /// <summary>Asked by tools too, which have no session.</summary>
    [Alias("GetStatus"), ReadOnly]
    ValueTask<FsResult<VolumeStatus>> GetStatusAsync(CancellationToken cancellation);
}

/// <summary>A copy of a file beside it.</summary>
/// <param name="Inode">The copy.</param>
/// <param name="Name">Its name in the directory of the file.</param>
[GenerateSerializer, Immutable, Alias("ofs.AsideFile")]
public readonly record struct AsideFile([property: Id(0)] InodeNumber Inode, [property: Id(1)] byte[] Name);
