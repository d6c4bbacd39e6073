using System.Buffers;
using System.IO.Hashing;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using OrleansFs.Engine.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>Gives the bytes of a file from an offset on, as they are to be logged.</summary>
internal delegate void RedoSource(long offset, Span<byte> target);

/// <summary>What of the log one file has that is not in its manifest: the newest record, and bytes.</summary>
internal readonly record struct RedoMark(long Sequence, long Bytes);

/// <summary>
/// The redo log: what fsync has brought to disk and what is not in blocks yet. Two files beside meta.db, written in turn; one is begun anew when nothing in it counts any more. Thread-safe.
/// </summary>
/// <remarks>
/// <para>A record counts until the transaction that takes its content into the manifest is on disk, or the one that deletes the file. That transaction says so in table redo_settled; a row there is needed
/// until the records that it speaks of are written over on disk.</para>
/// <para>Records enter under <see cref="_append"/>, as a write to the page cache. <see cref="_lock"/> guards the rest; it is held for memory alone. Both are taken last.</para>
/// </remarks>
internal sealed partial class RedoLog : IDisposable
{
    /// <summary>Bytes written in one call: what a large record takes of memory, twice.</summary>
    private const int ChunkBytes = 1 << 20;

    /// <summary>Bytes that are written ahead of the records, so that a sync finds the file's length and blocks as they were: it takes a third of the time then.</summary>
    private const int AheadBytes = 1 << 20;

    private static readonly byte[] Zeros = new byte[64 << 10];

    private readonly Lock _append = new();
    private readonly Lock _lock = new();
    private readonly Part[] _parts;
    private readonly Dictionary<ulong, Live> _live = [];
    private readonly VolumeId _volume;
    private readonly long _partBytes;
    private readonly Func<long> _durableLsn;
    private readonly Action<Exception> _failed;
    private readonly ILogger _logger;
    private FileSync? _sync;
    private int _current;
    private int _unsynced;
    private long _sequence;
    private long _bytes;
    private bool _isRefused;
    private bool _isDisposed;

    private RedoLog(string folder, VolumeId volume, long bytes, Func<long> durableLsn, Action<Exception> failed, ILogger logger)
    {
        _parts = [.. Paths(folder).Select(p => new Part(p))];
        _volume = volume;
        _partBytes = bytes / _parts.Length / RedoRecord.PageBytes * RedoRecord.PageBytes;
        _durableLsn = durableLsn;
        _failed = failed;
        _logger = logger;
    }

    /// <summary>Bytes of content that count.</summary>
    public long LiveBytes => Volatile.Read(ref _bytes);

    /// <summary>Records before this one are on disk no more.</summary>
    public long Oldest
    {
        get
        {
            lock (_lock)
                return _parts.Min(OldestOnDisk);
        }
    }

    /// <param name="folder">Where it is; nothing is made before something is logged.</param>
    /// <param name="volume">Whose it is.</param>
    /// <param name="bytes">What it may take on disk.</param>
    /// <param name="floor">Sequences that were given before.</param>
    /// <param name="durableLsn">Up to which mutation meta.db is on disk.</param>
    /// <param name="failed">Told when a sync fails.</param>
    /// <param name="logger">Told when a record cannot be written.</param>
    /// <param name="found">The records that are there, in their order.</param>
    public static RedoLog Open(string folder, VolumeId volume, long bytes, long floor, Func<long> durableLsn, Action<Exception> failed, ILogger logger, out IReadOnlyList<RedoEntry> found)
    {
        var log = new RedoLog(folder, volume, bytes, durableLsn, failed, logger);
        var entries = new List<RedoEntry>();
        foreach (var part in log._parts.Where(p => System.IO.File.Exists(p.Path)))
            log.Scan(part, entries);
        entries.Sort((a, b) => a.Record.Sequence.CompareTo(b.Record.Sequence));
        found = entries;
        log._sequence = Math.Max(floor, entries.Count > 0 ? entries[^1].Record.Sequence : 0);
        return log;
    }

    /// <summary>Takes the log away: it is another copy's, or of a state that is no more.</summary>
    public static void Delete(string folder)
    {
        foreach (string path in Paths(folder))
            System.IO.File.Delete(path);
    }

    private static IEnumerable<string> Paths(string folder) => [Path.Combine(folder, "redo.0"), Path.Combine(folder, "redo.1")];

    /// <summary>A record that was found counts.</summary>
    public void Adopt(RedoEntry entry)
    {
        lock (_lock)
            Note(Array.IndexOf(_parts, entry.Part), entry.Record);
    }

    /// <summary>What there is of a file.</summary>
    public RedoMark MarkOf(InodeNumber inode)
    {
        lock (_lock)
            return _live.TryGetValue(inode.Value, out var live) ? new RedoMark(live.Last.Max(), live.Bytes) : default;
    }

    /// <summary>Writes a record, not yet to disk: see <see cref="WaitAsync"/>. Null where there is no room for it, or it cannot be written: then nothing has changed.</summary>
    /// <param name="draft">What it says of the file.</param>
    /// <param name="ranges">The ranges of the file that it has.</param>
    /// <param name="source">Their content.</param>
    /// <param name="mayGrow">Asked before the log takes so many bytes more of the disk.</param>
    public long? Append(RedoRecord draft, IReadOnlyList<ByteRange> ranges, RedoSource source, Func<long, bool> mayGrow)
    {
        draft = draft with { Ranges = ranges.Count, Bytes = ranges.Sum(r => r.Length), Sequence = _sequence + 1 };
        lock (_append)
        {
            if (_isDisposed || Choose(draft.Taken) is not { } part)
                return null;
            draft = draft with { Sequence = _sequence + 1, Generation = part.End == 0 ? _sequence + 1 : part.Generation };
            if (part.End + draft.Taken > part.Length && !mayGrow(draft.Taken + AheadBytes))
                return null;
            try
            {
                var file = part.File ??= Make(part);
                ulong seed = part.End == 0 ? RedoRecord.FirstSeed(_volume, draft.Generation) : part.Seed;
                Prepare(part, file, draft.Taken);
                part.Seed = Write(file, part.End, draft, seed, ranges, source);
                _isRefused = false;
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException)
            {
                if (!_isRefused)
                    _logger.LogWarning(e, "the redo log cannot be written; syncs make blocks until it can");
                _isRefused = true;
                // Part of the zeros ahead may have found room.
                if (part.File is { } grown)
                    part.Length = RandomAccess.GetLength(grown);
                return null;
            }
            lock (_lock)
            {
                part.Generation = draft.Generation;
                part.End += draft.Taken;
                part.Length = Math.Max(part.Length, part.End);
                Note(Array.IndexOf(_parts, part), draft);
            }
            Interlocked.Or(ref _unsynced, 1 << Array.IndexOf(_parts, part));
            Volatile.Write(ref _sequence, draft.Sequence);
            return draft.Sequence;
        }
    }

    /// <summary>Completes, in the thread of the sync, when all records up to one are on disk.</summary>
    /// <exception cref="MetadataException">The disk failed: it is not known what is on disk.</exception>
    public Task WaitAsync(long sequence, SyncWait how, CancellationToken cancellation) =>
        sequence == 0 || _sync is not { } sync ? Task.CompletedTask : sync.WaitAsync(sequence, how, cancellation);

    /// <summary>Records of a file count no more as soon as a mutation is on disk.</summary>
    public void Settle(InodeNumber inode, RedoMark through, Lsn mutation)
    {
        lock (_lock)
        {
            if (!_live.TryGetValue(inode.Value, out var live))
                return;
            for (int i = 0; i < _parts.Length; i++)
            {
                if (live.Last[i] == 0 || live.Last[i] > through.Sequence)
                    continue;
                live.Last[i] = 0;
                _parts[i].Inodes--;
                _parts[i].ReleasedBy = Math.Max(_parts[i].ReleasedBy, mutation.Value);
            }
            long bytes = Math.Min(through.Bytes, live.Bytes);
            live.Bytes -= bytes;
            if (live.Last.Max() == 0)
            {
                bytes += live.Bytes;
                _live.Remove(inode.Value);
            }
            Volatile.Write(ref _bytes, _bytes - bytes);
        }
    }

    /// <summary>Closes; where nothing in it counts, it takes no room on the disk afterwards.</summary>
    public void Dispose()
    {
        lock (_append)
            _isDisposed = true;
        _sync?.Dispose();
        foreach (var part in _parts)
        {
            if (part.File is { } file && part.End > 0 && IsVoid(part))
                Clear(file, part.Path);
            part.File?.Dispose();
        }
    }

    /// <summary>Empty, and on disk so: the rows that speak of what was in it go with the next settling.</summary>
    private void Clear(SafeFileHandle file, string path)
    {
        try
        {
            RandomAccess.SetLength(file, 0);
            FileSync.Sync(file, Path.GetFileName(path));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            _logger.LogWarning(e, "{Path} cannot be emptied", path);
        }
    }

    /// <summary>The file that the next record goes to, begun anew where that is possible. Null where there is no room.</summary>
    private Part? Choose(long taken)
    {
        if (taken > _partBytes)
            return null;
        var part = _parts[_current];
        if (part.End == 0)
            return part;
        lock (_lock)
        {
            if (IsVoid(part))
                return Begin(part);
            if (!part.IsClosed && part.End + taken <= _partBytes)
                return part;
            int other = (_current + 1) % _parts.Length;
            if (!IsVoid(_parts[other]))
                return null;
            _current = other;
            return Begin(_parts[other]);
        }
    }

    private Part Begin(Part part)
    {
        part.Before = OldestOnDisk(part);
        part.End = 0;
        part.ReleasedBy = 0;
        part.IsClosed = false;
        return part;
    }

    /// <summary>Nothing in it counts: its files are settled or deleted, and that is on disk.</summary>
    private bool IsVoid(Part part) => part.Inodes == 0 && part.ReleasedBy <= _durableLsn();

    /// <summary>First sequence of what may still be found in a file. Its first record is written over by a new one, which may not have reached the disk.</summary>
    private long OldestOnDisk(Part part) =>
        part.IsClosed || part.End > 0 && _sync is { } sync && sync.Synced >= part.Generation ? part.Generation : Math.Min(part.Before, part.End > 0 ? part.Generation : long.MaxValue);

    private void Note(int part, in RedoRecord record)
    {
        if (!_live.TryGetValue(record.Inode.Value, out var live))
            _live.Add(record.Inode.Value, live = new Live(new long[_parts.Length]));
        if (live.Last[part] == 0)
            _parts[part].Inodes++;
        live.Last[part] = record.Sequence;
        live.Bytes += record.Bytes;
        Volatile.Write(ref _bytes, _bytes + record.Bytes);
    }

    /// <summary>Makes a file of the log, its name on disk, and the thread that syncs it.</summary>
    private SafeFileHandle Make(Part part)
    {
        var file = System.IO.File.OpenHandle(part.Path, FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        try
        {
            FileSync.SyncFolder(Path.GetDirectoryName(part.Path)!);
            part.Length = RandomAccess.GetLength(file);
        }
        catch
        {
            file.Dispose();
            throw;
        }
        _sync ??= new FileSync("redo log sync", () => (Volatile.Read(ref _sequence), 0), 0, SyncFiles, _failed, TimeProvider.System);
        return file;
    }

    /// <summary>Brings all records to disk.</summary>
    /// <exception cref="MetadataException">It is not known what is on disk.</exception>
    public void SyncFiles()
    {
        int unsynced = Interlocked.Exchange(ref _unsynced, 0);
        for (int i = 0; i < _parts.Length; i++)
        {
            if ((unsynced & (1 << i)) != 0)
                FileSync.Sync(_parts[i].File!, Path.GetFileName(_parts[i].Path));
        }
    }

    /// <summary>Writes zeros ahead of small records. Where that fails the record may still find room.</summary>
    private void Prepare(Part part, SafeFileHandle file, long taken)
    {
        long end = part.End + taken;
        if (end <= part.Length || taken > AheadBytes)
            return;
        for (long at = Math.Max(part.Length, end), to = Math.Min(_partBytes, end + AheadBytes); at < to; at += Zeros.Length)
            RandomAccess.Write(file, Zeros.AsSpan(0, (int)Math.Min(Zeros.Length, to - at)), at);
        part.Length = Math.Max(part.Length, Math.Min(_partBytes, end + AheadBytes));
    }

    /// <returns>The record's checksum.</returns>
    private static ulong Write(SafeFileHandle file, long start, in RedoRecord record, ulong seed, IReadOnlyList<ByteRange> ranges, RedoSource source)
    {
        byte[] first = ArrayPool<byte>.Shared.Rent((int)Math.Min(record.Taken, ChunkBytes));
        byte[]? more = record.Taken > ChunkBytes ? ArrayPool<byte>.Shared.Rent(ChunkBytes) : null;
        try
        {
            record.Write(first);
            int used = RedoRecord.HeadBytes;
            foreach (var range in ranges)
            {
                RedoRecord.WriteRange(first.AsSpan(used), range.Start, range.Length);
                used += RedoRecord.RangeBytes;
            }
            var hash = more is null ? null : new XxHash3((long)seed);
            byte[] chunk = first;
            long done = 0;
            foreach (var range in ranges)
            {
                for (long at = range.Start; at < range.End;)
                {
                    if (used == ChunkBytes)
                    {
                        hash!.Append(chunk.AsSpan(done == 0 ? RedoRecord.Covered : 0, used - (done == 0 ? RedoRecord.Covered : 0)));
                        if (done > 0)
                            RandomAccess.Write(file, chunk.AsSpan(0, used), start + done);
                        (done, used, chunk) = (done + used, 0, more!);
                    }
                    int n = (int)Math.Min(range.End - at, ChunkBytes - used);
                    source(at, chunk.AsSpan(used, n));
                    at += n;
                    used += n;
                }
            }
            int padded = (int)(record.Taken - done);
            chunk.AsSpan(used, padded - used).Clear();
            ulong checksum;
            if (hash is null)
            {
                checksum = XxHash3.HashToUInt64(first.AsSpan(RedoRecord.Covered, used - RedoRecord.Covered), (long)seed);
            }
            else
            {
                hash.Append(chunk.AsSpan(done == 0 ? RedoRecord.Covered : 0, used - (done == 0 ? RedoRecord.Covered : 0)));
                checksum = hash.GetCurrentHashAsUInt64();
                if (done > 0)
                    RandomAccess.Write(file, chunk.AsSpan(0, padded), start + done);
            }
            RedoRecord.WriteChecksum(first, checksum);
            RandomAccess.Write(file, first.AsSpan(0, (int)Math.Min(record.Taken, ChunkBytes)), start);
            return checksum;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(first);
            if (more is not null)
                ArrayPool<byte>.Shared.Return(more);
        }
    }

    /// <summary>One of the two files.</summary>
    internal sealed class Part(string path)
    {
        public string Path { get; } = path;

        public SafeFileHandle? File { get; set; }

        /// <summary>Bytes that the file has. Not asked of the file each time: the kernel gives a file that was asked about its times finer ones with its next write (multigrain timestamps), and a disk's file system
        /// without a journal brings those to disk with each sync.</summary>
        public long Length { get; set; }

        /// <summary>Where the next record goes.</summary>
        public long End { get; set; }

        /// <summary>Sequence of its first record.</summary>
        public long Generation { get; set; }

        /// <summary>First sequence of what may be on disk from before, where the first record has not reached it.</summary>
        public long Before { get; set; } = long.MaxValue;

        /// <summary>Checksum of its last record.</summary>
        public ulong Seed { get; set; }

        /// <summary>Files that have a record in it that counts.</summary>
        public int Inodes { get; set; }

        /// <summary>The newest of the mutations that made records in it void.</summary>
        public long ReleasedBy { get; set; }

        /// <summary>Found at the opening: what lies behind its end is not known, and nothing is appended.</summary>
        public bool IsClosed { get; set; }
    }

    /// <param name="Last">Sequence of the newest record in each of the two; 0 where none counts.</param>
    private sealed record Live(long[] Last)
    {
        public long Bytes { get; set; }
    }
}
