using System.Runtime.ExceptionServices;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

internal sealed partial class FileData
{
    [ThreadStatic]
    private static List<Piece>? t_pieces;

    /// <summary>Reads from the layers of in-flight blocks and, where nothing newer is known, from stored blocks.</summary>
    /// <returns>Bytes read: fewer than asked only at the end of the file.</returns>
    public ValueTask<FsResult<int>> ReadAsync(InodeNumber number, long offset, Memory<byte> destination, AccessTimes times, CancellationToken cancellation)
    {
        var found = RequireRegular(_metadata.Acquire(number));
        if (!found.TryGet(out var inode, out var error))
            return new(error);
        var pieces = t_pieces ??= [];
        pieces.Clear();
        int length;
        try
        {
            length = ReadOnly ? ResolveReplicated(inode, offset, destination.Span, pieces) : Resolve(inode, offset, destination.Span, pieces);
            if (!RefusesChanges())
                _metadata.MarkAccessed(inode, times);
            if (_blocks.Source is { IsAlone: false } source && length > 0)
                FetchAhead(inode, offset, length, source);
        }
        catch (MetadataException e)
        {
            LogNoManifest(number, e.Message);
            return new(e.Error);
        }
        finally
        {
            _metadata.Release(inode);
        }
        for (int i = 0; i < pieces.Count; i++)
        {
            var piece = pieces[i];
            var reading = _blocks.ReadAsync(piece.Block, piece.BlockOffset, destination.Slice(piece.Destination, piece.Length), cancellation, isAlone: pieces.Count == 1);
            if (!reading.IsCompletedSuccessfully)
                return FinishReadAsync(number, offset, reading, i, [.. pieces], destination, length, cancellation);
            error = Fill(number, piece, reading.Result, destination.Span);
            if (error != Errno.None)
                return ReadAgainAsync(number, offset, [.. pieces], destination, cancellation);
        }
        return new(length);
    }

    private async ValueTask<FsResult<int>> FinishReadAsync(InodeNumber number, long offset, ValueTask<BlockReadResult> reading, int at, Piece[] pieces, Memory<byte> destination, int length,
        CancellationToken cancellation)
    {
        var error = await ReadPiecesAsync(number, reading, pieces[at..], destination, cancellation);
        if (error == Errno.EIO)
            return await ReadAgainAsync(number, offset, pieces, destination, cancellation);
        return error == Errno.None ? length : error;
    }

    /// <summary>Nothing keeps a block between the look at the file and the reading of it: where another has its place by now, or none, it was rightly collected, and the file is looked at anew.</summary>
    /// <param name="number">The file.</param>
    /// <param name="offset">Of the range.</param>
    /// <param name="missed">What was to be read of it, and cannot be.</param>
    /// <param name="destination">As for <see cref="ReadAsync"/>.</param>
    /// <param name="cancellation">Ends it.</param>
    private async ValueTask<FsResult<int>> ReadAgainAsync(InodeNumber number, long offset, Piece[] missed, Memory<byte> destination, CancellationToken cancellation)
    {
        for (int attempt = 0; attempt < Limits.ReadAttempts; attempt++)
        {
            var found = RequireRegular(_metadata.Acquire(number));
            if (!found.TryGet(out var inode, out var error))
                return error;
            var pieces = new List<Piece>();
            int length;
            try
            {
                length = ReadOnly ? ResolveReplicated(inode, offset, destination.Span, pieces) : Resolve(inode, offset, destination.Span, pieces);
            }
            catch (MetadataException e)
            {
                LogNoManifest(number, e.Message);
                return e.Error;
            }
            finally
            {
                _metadata.Release(inode);
            }
            if (pieces.Count == 0)
                return length;
            if (pieces.SequenceEqual(missed))
                return Errno.EIO;
            missed = [.. pieces];
            var first = _blocks.ReadAsync(missed[0].Block, missed[0].BlockOffset, destination.Slice(missed[0].Destination, missed[0].Length), cancellation);
            error = await ReadPiecesAsync(number, first, missed, destination, cancellation);
            if (error != Errno.EIO)
                return error == Errno.None ? length : error;
        }
        return Errno.EIO;
    }

    private async ValueTask<Errno> ReadPiecesAsync(InodeNumber number, ValueTask<BlockReadResult> first, Piece[] pieces, Memory<byte> destination, CancellationToken cancellation)
    {
        // All at once: the disk is asked for the next blocks while the first is on its way. The destination is in use until the last of them has ended, whatever the others came to.
        var reads = new Task<BlockReadResult>[pieces.Length];
        reads[0] = first.AsTask();
        for (int i = 1; i < pieces.Length; i++)
            reads[i] = _blocks.ReadAsync(pieces[i].Block, pieces[i].BlockOffset, destination.Slice(pieces[i].Destination, pieces[i].Length), cancellation).AsTask();
        var error = Errno.None;
        Exception? failure = null;
        for (int i = 0; i < pieces.Length; i++)
        {
            try
            {
                var filled = Fill(number, pieces[i], await reads[i], destination.Span);
                error = error == Errno.None ? filled : error;
            }
            catch (OperationCanceledException)
            {
                error = Errno.EINTR;
            }
            catch (Exception e)
            {
                failure ??= e;
            }
        }
        if (failure is not null)
            ExceptionDispatchInfo.Throw(failure);
        return error;
    }

    private Errno Fill(InodeNumber number, Piece piece, BlockReadResult read, Span<byte> destination)
    {
        if (!read.IsOk)
        {
            LogUnreadable(number, piece.Block.Hash, read.Reason);
            return Errno.EIO;
        }
        destination.Slice(piece.Destination + read.Length, piece.Length - read.Length).Clear();
        return Errno.None;
    }

    /// <summary>Copies what is in memory, zeroes what is a hole, and lists what has to be read from stored blocks: one state of the file.</summary>
    private int Resolve(Inode inode, long offset, Span<byte> destination, List<Piece> pieces)
    {
        lock (inode.Gate)
        {
            long size;
            long committed;
            lock (inode)
            {
                size = inode.Current.Size;
                committed = inode.Committed.Size;
            }
            if (offset >= size || destination.IsEmpty)
                return 0;
            int length = (int)Math.Min(destination.Length, size - offset);
            long first = offset / _blockSize;
            int count = (int)((offset + length - 1) / _blockSize - first) + 1;
            Span<BlockHash> hashes = count <= 256 ? stackalloc BlockHash[count] : new BlockHash[count];
            _metadata.ReadManifest(inode.Number, first, hashes);
            for (int done = 0; done < length;)
            {
                long index = (offset + done) / _blockSize;
                int within = (int)((offset + done) % _blockSize);
                int n = Math.Min(_blockSize - within, length - done);
                if (inode.Content?.Find(index) is { } slot)
                    ReadLayers(slot, within, destination.Slice(done, n), done, pieces);
                else if (inode.Content?.ManifestCounts(index) == false || hashes[(int)(index - first)].IsHole)
                    destination.Slice(done, n).Clear();
                else
                    pieces.Add(new Piece(new BlockReference(hashes[(int)(index - first)], LengthOf(index, committed)), within, done, n));
                done += n;
            }
            return length;
        }
    }

    /// <summary>Where access is sequential, blocks that come next and are not here are fetched before they are asked for. Those that are here are the kernel's to read ahead.</summary>
    private void FetchAhead(Inode inode, long offset, int length, IBlockSource source)
    {
        ReadAheadRange range;
        lock (inode.Gate)
            range = inode.ReadAhead.Observe(offset, length, _blockSize);
        if (range.IsEmpty)
            return;
        var hashes = new BlockHash[range.Count];
        _metadata.ReadManifest(inode.Number, range.FirstBlock, hashes);
        var absent = hashes.Where(h => !h.IsHole && !_blocks.Files.Exists(h)).Distinct().ToList();
        if (absent.Count > 0)
            source.FetchAhead(absent);
    }

    /// <summary>On a replica inode and manifest change under the metadata lock, not under the gate.</summary>
    private int ResolveReplicated(Inode inode, long offset, Span<byte> destination, List<Piece> pieces)
    {
        lock (inode.Gate)
        {
            lock (_metadata.Lock)
                return Resolve(inode, offset, destination, pieces);
        }
    }

    private static void ReadLayers(Slot slot, int offset, Span<byte> destination, int at, List<Piece> pieces)
    {
        int known = offset;
        int end = offset + destination.Length;
        foreach (var extent in slot.Top?.Extents ?? [])
        {
            if (extent.End <= known || extent.Start >= end)
                continue;
            if (extent.Start > known)
                ReadUnderTop(slot, known, Math.Min(extent.Start, end), offset, destination, at, pieces);
            known = Math.Max(known, extent.End);
        }
        if (known < end)
            ReadUnderTop(slot, known, end, offset, destination, at, pieces);
        slot.Top?.CopyTo(offset, destination);
    }

    private static void ReadUnderTop(Slot slot, int from, int to, int offset, Span<byte> destination, int at, List<Piece> pieces)
    {
        int known = from;
        foreach (var extent in slot.Frozen?.Extents ?? [])
        {
            int start = extent.Start;
            int stop = Math.Min(extent.End, slot.FrozenLimit);
            if (stop <= known || start >= to)
                continue;
            if (start > known)
                ReadBase(slot, known, Math.Min(start, to), offset, destination, at, pieces);
            int copyFrom = Math.Max(start, known);
            int copyTo = Math.Min(stop, to);
            slot.Frozen!.CopyTo(copyFrom, destination[(copyFrom - offset)..(copyTo - offset)]);
            known = copyTo;
        }
        if (known < to)
            ReadBase(slot, known, to, offset, destination, at, pieces);
    }

    private static void ReadBase(Slot slot, int from, int to, int offset, Span<byte> destination, int at, List<Piece> pieces)
    {
        int stored = slot.Base.IsHole ? from : Math.Clamp(Math.Min(slot.Limit, slot.Base.Length), from, to);
        if (stored > from)
            pieces.Add(new Piece(new BlockReference(slot.Base.Hash, slot.Base.Length), from, at + from - offset, stored - from));
        destination[(stored - offset)..(to - offset)].Clear();
    }

    /// <summary>A range of a read that comes from a stored block.</summary>
    private readonly record struct Piece(BlockReference Block, int BlockOffset, int Destination, int Length);
}
