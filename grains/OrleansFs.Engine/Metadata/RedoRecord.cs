using System.Buffers.Binary;
using System.IO.Hashing;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>One record of the redo log: what one fsync brings to disk of one file. The one parser and the one writer of its head.</summary>
/// <remarks>
/// <code>
///     0   magic "OFSr"     4
///     4   format 1         2, then 2 zero
///     8   checksum         8   XXH3 of all that follows, padding left out. Its seed is the checksum of the record before; of the first one, <see cref="FirstSeed"/>
///     16  generation       8   sequence of the first record of the file: what is left of an earlier generation behind the end is not taken for a record
///     24  sequence         8   grows from record to record, over both files
///     32  inode            8
///     40  basis            8   LSN of the newest mutation that the record builds on: where that was lost, so is the record
///     48  size             8   of the file as of this fsync
///     56  modify time      8
///     64  change time      8
///     72  ranges           4, then 4 zero
///     80  data             8   bytes of all ranges
///     88  ranges: offset 8, length 8; then the data of all ranges, one behind the other; then zeros up to a multiple of 4096
/// </code>
/// All numbers little-endian. A record begins where a page begins, so that what is on disk is never written again, and no page has to be read to be written.
/// </remarks>
/// <param name="Generation">Sequence of the first record of the file.</param>
/// <param name="Sequence">Order of the records.</param>
/// <param name="Inode">The file.</param>
/// <param name="Basis">Newest mutation that it builds on.</param>
/// <param name="Size">Of the file as of this fsync, bytes.</param>
/// <param name="ModifyTime">As of this fsync.</param>
/// <param name="ChangeTime">As of this fsync.</param>
/// <param name="Ranges">How many there are.</param>
/// <param name="Bytes">Of all ranges together.</param>
internal readonly record struct RedoRecord(long Generation, long Sequence, InodeNumber Inode, Lsn Basis, long Size, Timestamp ModifyTime, Timestamp ChangeTime, int Ranges, long Bytes)
{
    public const int HeadBytes = 88;
    public const int RangeBytes = 16;
    public const int PageBytes = 4096;

    /// <summary>Where what the checksum covers begins.</summary>
    public const int Covered = 16;

    /// <summary>More ranges are no record of ours: 16 MiB of them.</summary>
    private const int MaxRanges = 1 << 20;
    private const uint Magic = 0x7253464F;
    private const ushort Format = 1;

    /// <summary>Bytes of the record without its padding.</summary>
    public long Length => HeadBytes + (long)Ranges * RangeBytes + Bytes;

    /// <summary>Bytes that it takes in the file.</summary>
    public long Taken => (Length + PageBytes - 1) / PageBytes * PageBytes;

    /// <summary>Belongs to a volume and a generation: a log that was left by another is not taken for one.</summary>
    public static ulong FirstSeed(VolumeId volume, long generation) => XxHash3.HashToUInt64(System.Text.Encoding.ASCII.GetBytes(volume.ToString()), generation);

    /// <summary>Writes the head but for the checksum.</summary>
    public void Write(Span<byte> head)
    {
        head[..HeadBytes].Clear();
        BinaryPrimitives.WriteUInt32LittleEndian(head, Magic);
        BinaryPrimitives.WriteUInt16LittleEndian(head[4..], Format);
        BinaryPrimitives.WriteInt64LittleEndian(head[16..], Generation);
        BinaryPrimitives.WriteInt64LittleEndian(head[24..], Sequence);
        BinaryPrimitives.WriteUInt64LittleEndian(head[32..], Inode.Value);
        BinaryPrimitives.WriteInt64LittleEndian(head[40..], Basis.Value);
        BinaryPrimitives.WriteInt64LittleEndian(head[48..], Size);
        BinaryPrimitives.WriteInt64LittleEndian(head[56..], ModifyTime.Nanoseconds);
        BinaryPrimitives.WriteInt64LittleEndian(head[64..], ChangeTime.Nanoseconds);
        BinaryPrimitives.WriteInt32LittleEndian(head[72..], Ranges);
        BinaryPrimitives.WriteInt64LittleEndian(head[80..], Bytes);
    }

    public static void WriteChecksum(Span<byte> head, ulong checksum) => BinaryPrimitives.WriteUInt64LittleEndian(head[8..], checksum);

    public static void WriteRange(Span<byte> place, long offset, long length)
    {
        BinaryPrimitives.WriteInt64LittleEndian(place, offset);
        BinaryPrimitives.WriteInt64LittleEndian(place[8..], length);
    }

    public static (long Offset, long Length) ReadRange(ReadOnlySpan<byte> place) => (BinaryPrimitives.ReadInt64LittleEndian(place), BinaryPrimitives.ReadInt64LittleEndian(place[8..]));

    /// <summary>Null where it is no head. That it is one says nothing of what follows: see the checksum.</summary>
    public static (RedoRecord Record, ulong Checksum)? Read(ReadOnlySpan<byte> head)
    {
        if (head.Length < HeadBytes || BinaryPrimitives.ReadUInt32LittleEndian(head) != Magic || BinaryPrimitives.ReadUInt16LittleEndian(head[4..]) != Format)
            return null;
        var record = new RedoRecord(
            BinaryPrimitives.ReadInt64LittleEndian(head[16..]),
            BinaryPrimitives.ReadInt64LittleEndian(head[24..]),
            new InodeNumber(BinaryPrimitives.ReadUInt64LittleEndian(head[32..])),
            new Lsn(BinaryPrimitives.ReadInt64LittleEndian(head[40..])),
            BinaryPrimitives.ReadInt64LittleEndian(head[48..]),
            new Timestamp(BinaryPrimitives.ReadInt64LittleEndian(head[56..])),
            new Timestamp(BinaryPrimitives.ReadInt64LittleEndian(head[64..])),
            BinaryPrimitives.ReadInt32LittleEndian(head[72..]),
            BinaryPrimitives.ReadInt64LittleEndian(head[80..]));
        bool sound = record is { Ranges: >= 0 and <= MaxRanges, Bytes: >= 0 };
        return sound ? (record, BinaryPrimitives.ReadUInt64LittleEndian(head[8..])) : null;
    }
}
