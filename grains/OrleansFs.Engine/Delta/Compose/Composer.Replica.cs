using OrleansFs.Engine.Blocks;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <content>On a replica: what it was sent as instructions is kept so.</content>
/// <remarks>
/// A replica's transactions are its master's and wait for no block file of its own. So the order is kept here: a row is on disk before a file goes, and a file is on disk before a row goes. All of it is done by one at a time, who
/// also applies the journal: no source is deleted between a look at it and the row that pins it.
/// </remarks>
internal sealed partial class Composer
{
    /// <summary>The next block that is read often.</summary>
    public ValueTask<BlockHash> NextHotAsync(CancellationToken cancellation) => _hot.Reader.ReadAsync(cancellation);

    /// <summary>Notes that blocks are kept as pieces of others from now on, where they and their sources are such that they can be. When that is on disk, <see cref="DeleteFiles"/>.</summary>
    /// <returns>Those that are.</returns>
    public IReadOnlyList<BlockHash> Compose(IEnumerable<Composition> compositions)
    {
        var files = _volume.BlockStore.Files;
        var composed = new List<BlockHash>();
        foreach (var (row, sources) in compositions)
        {
            if (sources.Append(row.Hash).All(IsOfUse) && _volume.Metadata.Compose(row, sources, row.Program.Length))
                composed.Add(row.Hash);
        }
        return composed;

        // What no file has any more the master will delete, and what was made of it would be put into files before.
        bool IsOfUse(BlockHash hash) => _volume.Metadata.TryGetBlock(hash, out var known) && known.References > 0 && files.DiskBytes(hash) is not null && !files.IsSuspect(hash);
    }

    public void DeleteFiles(IEnumerable<BlockHash> composed)
    {
        foreach (var hash in composed)
            DeleteFile(hash);
    }

    /// <summary>Puts composed blocks into files, which are on disk then, and commits that their rows go. Passes over what is not composed.</summary>
    /// <returns>Those that cannot be put together.</returns>
    /// <exception cref="BlockStoreException">The disk is full or fails: they stay composed.</exception>
    public async ValueTask<IReadOnlyList<BlockHash>> MakePlainAsync(IEnumerable<BlockHash> hashes, CancellationToken cancellation)
    {
        var files = _volume.BlockStore.Files;
        var written = new List<BlockHash>();
        var unreadable = new List<BlockHash>();
        foreach (var hash in hashes)
        {
            cancellation.ThrowIfCancellationRequested();
            if (!_volume.Metadata.IsComposed(hash) || !_volume.Metadata.TryGetBlock(hash, out var row))
                continue;
            if (!_volume.AdmitsBlock(row.Length))
                throw new BlockStoreException(Errno.ENOSPC, $"the disk of the copy '{_volume.Copy}' is full: what is kept as pieces of a block that goes cannot be put into a file");
            byte[] content = GC.AllocateUninitializedArray<byte>(row.Length);
            if (files.Read(hash, content) is { IsOk: true } read && read.Length == row.Length && BlockHash.Of(content) == hash)
            {
                lock (_locks.For(hash))
                    files.Write(hash, content);
                written.Add(hash);
            }
            else
            {
                unreadable.Add(hash);
            }
        }
        if (written.Count == 0)
            return unreadable;
        await files.SyncAsync(files.LastSequence, cancellation);
        foreach (var hash in written)
            Decompose(hash);
        if (_volume.Metadata.Commit() is { IsOk: false, Error: var error })
            throw new BlockStoreException(error, "that composed blocks are in files cannot be committed");
        return unreadable;
    }

    /// <summary>Ends what a kill cut short, when all files are on disk: of a composed block that has a file besides, one of the two goes.</summary>
    public void TidyAfterKill(CancellationToken cancellation)
    {
        var files = _volume.BlockStore.Files;
        var after = BlockHash.Hole;
        while (_volume.Metadata.ComposedAfter(after, DeltaLimits.ComposeBatch) is [.., var last] hashes)
        {
            foreach (var hash in hashes)
            {
                cancellation.ThrowIfCancellationRequested();
                if (files.DiskBytes(hash) is not null && _volume.Metadata.TryGetBlock(hash, out var row))
                    KeepOne(hash, row.Length);
            }
            after = last;
        }
        _volume.Metadata.Commit();

        void KeepOne(BlockHash hash, int length)
        {
            byte[] content = new byte[length];
            if (files.ReadFile(hash, content) is { IsOk: true } read && read.Length == length && BlockHash.Of(content) == hash)
                Decompose(hash);
            else
                DeleteDamaged(hash);
        }

        // Whatever its sources are: they can be had again.
        void DeleteDamaged(BlockHash hash)
        {
            lock (_locks.For(hash))
            {
                if (_volume.Metadata.IsComposed(hash))
                    files.Delete(hash);
            }
        }
    }

    private void Decompose(BlockHash hash)
    {
        lock (_locks.For(hash))
        {
            if (_volume.BlockStore.Files.DiskBytes(hash) is { } bytes)
                _volume.Metadata.Decompose(hash, bytes, writeSequence: 0);
        }
    }
}
