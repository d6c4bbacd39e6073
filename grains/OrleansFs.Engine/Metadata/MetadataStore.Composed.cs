using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>How a block is put together.</summary>
/// <param name="Hash">Its name.</param>
/// <param name="Content">XXH3-64 of its content.</param>
/// <param name="Program">How to build it: Delta/DeltaProgram.cs.</param>
internal readonly record struct ComposedRow(BlockHash Hash, ulong Content, byte[] Program);

/// <content>Blocks that are kept as pieces of others.</content>
/// <remarks>
/// Invariants: 1. A composed block has a row that says local. 2. None of its sources is composed, and each has its file here. 3. <see cref="BlockRow.Pins"/> of a block is the number of composed blocks that it is a
/// source of; with pins it is neither evicted nor collected. All of it is this copy's own.
/// </remarks>
internal sealed partial class MetadataStore
{
    /// <summary>There may be composed blocks: there were when the store was opened, or one has been made since.</summary>
    private volatile bool _hasComposed;

    /// <summary>How many blocks are composed, and what that takes, bytes.</summary>
    public (long Blocks, long Bytes) Composed()
    {
        if (!_hasComposed)
            return default;
        lock (Lock)
        {
            RequireReady();
            using var s = _database.Prepare("SELECT count(*), coalesce(sum(length(program)), 0) FROM composed");
            s.Step();
            var total = (s.Int64(0), s.Int64(1));
            s.Reset();
            return total;
        }
    }

    public bool IsComposed(BlockHash hash)
    {
        if (!_hasComposed)
            return false;
        lock (Lock)
        {
            RequireReady();
            var s = _sql.IsComposed.Bind(1, hash);
            bool found = s.Step();
            s.Reset();
            return found;
        }
    }

    public bool TryGetComposed(BlockHash hash, out ComposedRow row)
    {
        row = default;
        if (!_hasComposed)
            return false;
        lock (Lock)
        {
            RequireReady();
            var s = _sql.GetComposed.Bind(1, hash);
            bool found = s.Step();
            if (found)
                row = new ComposedRow(hash, unchecked((ulong)s.Int64(0)), s.Blob(1).ToArray());
            s.Reset();
            return found;
        }
    }

    /// <summary>The composed blocks, in the order of hashes after one, at most so many.</summary>
    public IReadOnlyList<BlockHash> ComposedAfter(BlockHash after, int most)
    {
        lock (Lock)
        {
            RequireReady();
            return Take(_sql.ComposedAfter.Bind(1, after), most);
        }
    }

    /// <summary>The composed blocks that a block is a source of, at most so many.</summary>
    public IReadOnlyList<BlockHash> MadeOf(BlockHash source, int most)
    {
        if (!_hasComposed)
            return [];
        lock (Lock)
        {
            RequireReady();
            return Take(_sql.MadeOf.Bind(1, source), most);
        }
    }

    /// <summary>Notes that a block is kept as pieces of others from now on; its file may go when that is on disk. Local; committed with the next transaction.</summary>
    /// <param name="composed">How it is made.</param>
    /// <param name="sources">What it is made of, each once.</param>
    /// <param name="storedBytes">What it takes from now on.</param>
    /// <returns>False where it cannot be kept so, being not local, composed, unused, or itself a source; or where a source is not local, or composed.</returns>
    public bool Compose(in ComposedRow composed, IReadOnlyList<BlockHash> sources, long storedBytes)
    {
        lock (Lock)
        {
            if (Enter() is not Errno.None)
                throw new MetadataException(Errno.EIO, 0, Trouble!);
            if (!TryGetBlock(composed.Hash, out var row) || row.Residency != Residency.Local || row.References == 0 || row.Pins > 0 || IsComposed(composed.Hash))
                return false;
            foreach (var source in sources)
            {
                if (!TryGetBlock(source, out var known) || known.Residency == Residency.Absent || source == composed.Hash || IsComposed(source))
                    return false;
            }
            try
            {
                ApplyCompose(composed, sources, storedBytes);
                _effects.Compose(composed, sources, storedBytes);
                DoneLocal();
                return true;
            }
            catch (Exception e)
            {
                Undo(e);
                throw;
            }
        }
    }

    /// <summary>Notes that a block is in a file again. Local; committed with the next transaction. False where it was not composed.</summary>
    /// <param name="hash">The block.</param>
    /// <param name="storedBytes">What its file takes.</param>
    /// <param name="writeSequence">Position of the write that must be synced before the transaction is committed.</param>
    public bool Decompose(BlockHash hash, long storedBytes, long writeSequence)
    {
        if (!_hasComposed)
            return false;
        lock (Lock)
        {
            if (Enter() is not Errno.None)
                throw new MetadataException(Errno.EIO, 0, Trouble!);
            return IsComposed(hash) && DecomposeNow(hash, storedBytes, writeSequence);
        }
    }

    /// <summary>Notes what the file of a block takes that has come again: it may have been composed when it was given up, and others keep it in another form. Local; committed with the next transaction.</summary>
    /// <param name="hash">The block.</param>
    /// <param name="storedBytes">What its file takes.</param>
    /// <param name="writeSequence">Position of the write that must be synced before the transaction is committed.</param>
    public void NoteFile(BlockHash hash, long storedBytes, long writeSequence)
    {
        lock (Lock)
        {
            if (Enter() is not Errno.None)
                throw new MetadataException(Errno.EIO, 0, Trouble!);
            if (TryGetBlock(hash, out var row) && (row.StoredBytes != storedBytes || IsComposed(hash)))
                DecomposeNow(hash, storedBytes, writeSequence);
        }
    }

    private bool DecomposeNow(BlockHash hash, long storedBytes, long writeSequence)
    {
        try
        {
            ApplyDecompose(hash, storedBytes);
            _effects.Decompose(hash, storedBytes);
            RequiredBlockSequence = Math.Max(RequiredBlockSequence, writeSequence);
            DoneLocal();
            return true;
        }
        catch (Exception e)
        {
            Undo(e);
            throw;
        }
    }

    private void ApplyCompose(in ComposedRow composed, IReadOnlyList<BlockHash> sources, long storedBytes)
    {
        _hasComposed = true;
        _sql.AddComposed.Bind(1, composed.Hash).Bind(2, composed.Content).Bind(3, composed.Program).Run();
        foreach (var source in sources)
        {
            _sql.AddComposedSource.Bind(1, source).Bind(2, composed.Hash).Run();
            _sql.PinBlock.Bind(1, source).Bind(2, 1).Run();
        }
        ApplyStored(composed.Hash, storedBytes);
    }

    private void ApplyDecompose(BlockHash hash, long storedBytes)
    {
        DropComposed(hash);
        ApplyStored(hash, storedBytes);
    }

    /// <summary>A composed block is none any more: it has gone, or is in a file.</summary>
    private void DropComposed(BlockHash hash)
    {
        if (!_hasComposed)
            return;
        var sources = Take(_sql.SourcesOf.Bind(1, hash), int.MaxValue);
        foreach (var source in sources)
        {
            _sql.DeleteComposedSource.Bind(1, source).Bind(2, hash).Run();
            _sql.PinBlock.Bind(1, source).Bind(2, -1).Run();
        }
        if (sources.Count > 0)
            _sql.DeleteComposed.Bind(1, hash).Run();
    }

    private void ApplyStored(BlockHash hash, long storedBytes)
    {
        var s = _sql.CountBlock.Bind(1, hash);
        if (!s.Step())
            return;
        var (stored, references, isLocal) = (s.Int64(1), s.Int64(2), s.Int64(3) != (long)Residency.Absent);
        s.Reset();
        _sql.SetStored.Bind(1, hash).Bind(2, storedBytes).Run();
        if (references > 0)
            _counters.StoredBytes += storedBytes - stored;
        else
            _counters.DeadBytes += storedBytes - stored;
        _counters.LocalBytes += isLocal ? storedBytes - stored : 0;
    }

    private static List<BlockHash> Take(Statement s, int most)
    {
        var hashes = new List<BlockHash>();
        while (hashes.Count < most && s.Step())
            hashes.Add(s.Hash(0));
        s.Reset();
        return hashes;
    }
}
