using System.Buffers;
using System.IO.Hashing;
using Microsoft.Win32.SafeHandles;

namespace OrleansFs.Engine.Metadata;

/// <summary>A record that was found in the log.</summary>
/// <param name="Part">The file that has it.</param>
/// <param name="Record">Its head.</param>
/// <param name="Ranges">The ranges of its file that it has.</param>
/// <param name="DataAt">Where their content begins in the log.</param>
internal sealed record RedoEntry(RedoLog.Part Part, RedoRecord Record, IReadOnlyList<(long Offset, long Length)> Ranges, long DataAt)
{
    /// <summary>Bytes read and written in one step.</summary>
    private const int StepBytes = 1 << 20;

    /// <summary>Its content, in pieces, in order. A piece is good until the next is asked for.</summary>
    /// <exception cref="IOException">It cannot be read any more.</exception>
    public IEnumerable<RedoWrite> Writes()
    {
        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)Math.Clamp(Record.Bytes, 1, StepBytes));
        try
        {
            long at = DataAt;
            foreach (var (offset, length) in Ranges)
            {
                for (long done = 0; done < length;)
                {
                    int n = (int)Math.Min(length - done, Math.Min(buffer.Length, StepBytes));
                    if (RandomAccess.Read(Part.File!, buffer.AsSpan(0, n), at) != n)
                        throw new EndOfStreamException($"{Part.Path} is shorter than it was");
                    yield return new RedoWrite(offset + done, buffer.AsMemory(0, n));
                    done += n;
                    at += n;
                }
            }
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }
}

/// <content>Finding what is there.</content>
internal sealed partial class RedoLog
{
    /// <summary>Takes the records of a file up to the first that is torn or of an earlier generation: nothing behind it was ever acknowledged.</summary>
    private void Scan(Part part, List<RedoEntry> entries)
    {
        var file = part.File = System.IO.File.OpenHandle(part.Path, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        _sync ??= new FileSync("redo log sync", () => (Volatile.Read(ref _sequence), 0), 0, SyncFiles, _failed, TimeProvider.System);
        long length = RandomAccess.GetLength(file);
        Span<byte> head = stackalloc byte[RedoRecord.HeadBytes];
        long last = 0;
        while (RandomAccess.Read(file, head, part.End) == head.Length && RedoRecord.Read(head) is var (record, checksum))
        {
            bool isFirst = part.End == 0;
            bool follows = isFirst ? record.Sequence == record.Generation : record.Generation == part.Generation && record.Sequence > last;
            if (!follows || record.Length > length - part.End)
                break;
            ulong seed = isFirst ? RedoRecord.FirstSeed(_volume, record.Generation) : part.Seed;
            if (ChecksumOf(file, part.End, record.Length, seed) != checksum || RangesOf(file, part.End, record) is not { } ranges)
                break;
            entries.Add(new RedoEntry(part, record, ranges, part.End + RedoRecord.HeadBytes + (long)record.Ranges * RedoRecord.RangeBytes));
            (part.Generation, part.Seed, part.IsClosed, last) = (record.Generation, checksum, true, record.Sequence);
            part.End += record.Taken;
        }
    }

    private static ulong ChecksumOf(SafeFileHandle file, long start, long length, ulong seed)
    {
        var hash = new XxHash3((long)seed);
        byte[] buffer = ArrayPool<byte>.Shared.Rent((int)Math.Min(length, ChunkBytes));
        for (long at = RedoRecord.Covered; at < length;)
        {
            int n = RandomAccess.Read(file, buffer.AsSpan(0, (int)Math.Min(buffer.Length, length - at)), start + at);
            if (n == 0)
                break;
            hash.Append(buffer.AsSpan(0, n));
            at += n;
        }
        ArrayPool<byte>.Shared.Return(buffer);
        return hash.GetCurrentHashAsUInt64();
    }

    private static List<(long Offset, long Length)>? RangesOf(SafeFileHandle file, long start, in RedoRecord record)
    {
        byte[] table = new byte[record.Ranges * RedoRecord.RangeBytes];
        if (RandomAccess.Read(file, table, start + RedoRecord.HeadBytes) != table.Length)
            return null;
        var ranges = new List<(long Offset, long Length)>(record.Ranges);
        long bytes = 0;
        for (int i = 0; i < record.Ranges; i++)
        {
            var range = RedoRecord.ReadRange(table.AsSpan(i * RedoRecord.RangeBytes));
            if (range.Offset < 0 || range.Length <= 0 || range.Length > record.Bytes - bytes || range.Offset > long.MaxValue - range.Length)
                return null;
            ranges.Add(range);
            bytes += range.Length;
        }
        return bytes == record.Bytes ? ranges : null;
    }
}
