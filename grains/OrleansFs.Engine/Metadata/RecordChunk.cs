using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>256 records of a segment as one value. The one parser and the one writer of table record's entries.</summary>
/// <remarks>
/// A record is four varints (LEB128): bytes between the end of the record before and its own offset (0 but where the file was no append-only file for a while), its length, its LSN and its time each less that of
/// the record before, the first less that of the row. Some 6 bytes.
/// </remarks>
internal static class RecordChunk
{
    public const int Records = 256;

    /// <summary>Bytes of the longest record.</summary>
    public const int EntryBytes = 4 * 10;

    /// <summary>Writes one record behind others.</summary>
    /// <returns>Bytes written.</returns>
    public static int Write(Span<byte> place, in RecordInfo record, in RecordInfo before)
    {
        int n = Put(place, (ulong)(record.Offset - before.Offset - before.Length));
        n += Put(place[n..], (ulong)record.Length);
        n += Put(place[n..], (ulong)(record.Lsn.Value - before.Lsn.Value));
        return n + Put(place[n..], (ulong)(record.Time.Nanoseconds - before.Time.Nanoseconds));
    }

    /// <summary>What the first record of a row is written against.</summary>
    public static RecordInfo Before(ushort site, long sequence, long offset, Lsn lsn, Timestamp time) =>
        new() { Site = site, Sequence = sequence - 1, Offset = offset, Length = 0, Lsn = lsn, Time = time };

    /// <summary>Reads records one after the other; false at the end.</summary>
    /// <exception cref="MetadataException">It is malformed.</exception>
    public static bool TryRead(ref ReadOnlySpan<byte> rest, ref RecordInfo record)
    {
        if (rest.IsEmpty)
            return false;
        long gap = Take(ref rest), length = Take(ref rest), lsn = Take(ref rest), time = Take(ref rest);
        record = record with
        {
            Sequence = record.Sequence + 1,
            Offset = record.Offset + record.Length + gap,
            Length = length,
            Lsn = new Lsn(record.Lsn.Value + lsn),
            Time = new Timestamp(record.Time.Nanoseconds + time),
        };
        return true;
    }

    /// <summary>The entries of the first records of a row.</summary>
    /// <exception cref="MetadataException">They are malformed.</exception>
    public static ReadOnlySpan<byte> FirstOf(ReadOnlySpan<byte> entries, int count)
    {
        var rest = entries;
        var record = default(RecordInfo);
        while (count-- > 0 && TryRead(ref rest, ref record))
        {
        }
        return entries[..(entries.Length - rest.Length)];
    }

    private static int Put(Span<byte> place, ulong value)
    {
        int n = 0;
        for (; value >= 0x80; value >>= 7)
            place[n++] = (byte)(value | 0x80);
        place[n++] = (byte)value;
        return n;
    }

    private static long Take(ref ReadOnlySpan<byte> rest)
    {
        ulong value = 0;
        for (int i = 0; i < rest.Length && i < 10; i++)
        {
            value |= (ulong)(rest[i] & 0x7F) << (7 * i);
            if (rest[i] >= 0x80)
                continue;
            rest = rest[(i + 1)..];
            return (long)value;
        }
        throw new MetadataException(Errno.EIO, 0, "a list of records is malformed: run fsck");
    }
}
