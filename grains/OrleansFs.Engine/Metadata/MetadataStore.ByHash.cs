using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>From a content hash to a file that has it.</content>
internal sealed partial class MetadataStore
{
    /// <summary>
    /// Files whose rows say a content hash. Rows follow at the commit: one may have other content by now, and one with this content may be missing. Who wants the content compares it with the hash, and commits
    /// and looks again where there is none.
    /// </summary>
    /// <exception cref="MetadataException">The table cannot be read.</exception>
    public IReadOnlyList<InodeNumber> FindByHash(BlockHash hash)
    {
        lock (Lock)
        {
            RequireReady();
            var found = new List<InodeNumber>();
            var s = _sql.InodesOfHash.Bind(1, hash);
            while (found.Count < MetadataLimits.HashCandidates && s.Step())
                found.Add(s.Inode(0));
            s.Reset();
            return found;
        }
    }

    /// <summary>
    /// Reads a run of a file's committed manifest, a segment's worth of hashes at a time, and gives each part away while the metadata lock is held: what is noted of a block there, a collection sees before it
    /// deletes the block's row.
    /// </summary>
    /// <param name="inode">The file.</param>
    /// <param name="first">First block.</param>
    /// <param name="hashes">As many blocks as are wanted.</param>
    /// <param name="take">Given them, under the lock. Answers whether to go on.</param>
    /// <returns>The committed size of the file, bytes; null where it is gone, no regular file, or the part was refused.</returns>
    /// <exception cref="MetadataException">The manifest cannot be read.</exception>
    public long? TakeCommitted(InodeNumber inode, long first, Span<BlockHash> hashes, Func<ReadOnlySpan<BlockHash>, bool> take)
    {
        lock (Lock)
        {
            Sweep();
            if (Find(inode) is not { IsGone: false } found || !found.Snapshot().IsRegular)
                return null;
            ReadManifest(inode, first, hashes);
            long size = found.Committed.Size;
            return take(hashes) ? size : null;
        }
    }

    /// <summary>The committed size of a regular file, bytes; null for anything else.</summary>
    public long? CommittedSize(InodeNumber inode) => TakeCommitted(inode, 0, [], _ => true);

    /// <summary>Does something about a block that has a row, under the lock that its collection takes. False where it has none.</summary>
    /// <exception cref="MetadataException">The table cannot be read.</exception>
    public bool TryWithBlock(BlockHash hash, Func<BlockRow, bool> then)
    {
        lock (Lock)
            return TryGetBlock(hash, out var row) && then(row);
    }

    /// <summary>Where an inode is named: at most so many of its names.</summary>
    /// <exception cref="MetadataException">The table cannot be read.</exception>
    public List<(InodeNumber Directory, byte[] Name)> NamesOf(InodeNumber inode, int max)
    {
        lock (Lock)
        {
            RequireReady();
            var names = new List<(InodeNumber Directory, byte[] Name)>();
            var s = _sql.NamesOfInode.Bind(1, inode);
            while (names.Count < max && s.Step())
                names.Add((s.Inode(0), s.Blob(1).ToArray()));
            s.Reset();
            return names;
        }
    }

    /// <summary>The directory in which a directory is; null for what is no directory, or gone.</summary>
    /// <exception cref="MetadataException">The table cannot be read.</exception>
    public InodeNumber? ParentOf(InodeNumber directory)
    {
        lock (Lock)
            return Find(directory) is { } found && found.Snapshot() is { IsDirectory: true, LinkCount: > 0 } ? found.Parent : null;
    }

    /// <summary>Whether there are files whose content hash is not known.</summary>
    /// <exception cref="MetadataException">The table cannot be read.</exception>
    public bool HasUnhashed
    {
        get
        {
            lock (Lock)
            {
                RequireReady();
                return Unhashed(1).Count > 0;
            }
        }
    }

    private List<InodeNumber> Unhashed(int max)
    {
        var found = new List<InodeNumber>();
        while (found.Count < max && _sql.Unhashed.Step())
            found.Add(_sql.Unhashed.Inode(0));
        _sql.Unhashed.Reset();
        return found;
    }
}
