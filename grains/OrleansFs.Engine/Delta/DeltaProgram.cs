using System.Buffers.Binary;
using K4os.Compression.LZ4;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

// A message that tells how to build blocks. DeltaWriter writes it, DeltaProgram.TryRead reads it, nothing else knows it; an old sample stays in the tests for ever.
//
//   version        1 byte: 1, or 2
//   short sources  varint count, 8 bytes each: the first of a block's name. The builder has one block whose name begins so, or does not build: the result is checked by its SHA-256 in any case
//   long sources   varint count, 32 bytes each: blocks that the builder has and knows no row of yet. They count on from the short ones
//   literals       varint bytes, varint bytes as packed (0: as they are)
//   targets        varint count; each: its name, its length, varint number of copies, and the copies.
//                  Version 1: 32 bytes of name, varint length. Version 2: the first 8 bytes of the name, and the length less that of the target before (0 at first), zigzag: the builder computes the SHA-256 in any case,
//                  and stores what it has built under that. Whether it is what was meant is seen when the journal names it: a message that costs 8 bytes a block may be wrong, a block that is stored may not
//                  each copy:
//                    varint  literal bytes before it
//                    varint  bytes copied
//                    varint  source, less the source of the copy before (of any target; 0 at first), zigzag
//                    varint  offset, less the end of the copy before where the source is the same, zigzag
//                  after the last copy literals fill up the length
//   the literals of all targets, in order; packed: one LZ4 block
//
// varint: LEB128.

/// <summary>How to build some blocks.</summary>
/// <param name="Sources">What the targets are built out of.</param>
/// <param name="Targets">The blocks to build.</param>
/// <param name="Literals">What their literals are taken from, in order.</param>
internal sealed record DeltaProgram(IReadOnlyList<DeltaSource> Sources, IReadOnlyList<DeltaTarget> Targets, ReadOnlyMemory<byte> Literals)
{
    /// <summary>The newest form that this program writes and reads.</summary>
    public const byte Version = 2;

    /// <summary>Its targets are named in full: what is kept on disk, and what goes to a builder that reads no other.</summary>
    public const byte FullVersion = 1;

    /// <summary>Reads a message; null where it makes no sense. What it gives is within its bounds, but for the offsets, as the lengths of the sources are not known here.</summary>
    public static DeltaProgram? TryRead(ReadOnlySpan<byte> message)
    {
        var reader = new DeltaReader(message);
        byte version = reader.Byte();
        if (version is not (FullVersion or Version))
            return null;
        var sources = new List<DeltaSource>();
        for (int left = reader.Count(DeltaLimits.MessageBytes / 8); left > 0 && !reader.Failed; left--)
            sources.Add(new DeltaSource(BinaryPrimitives.ReadUInt64BigEndian(reader.Bytes(8)), null));
        for (int left = reader.Count(DeltaLimits.MessageBytes / 8); left > 0 && !reader.Failed; left--)
        {
            var hash = new BlockHash(reader.Bytes(BlockHash.Size));
            sources.Add(new DeltaSource(hash.Prefix, hash));
        }
        int literals = reader.Count(DeltaLimits.MessageLiterals);
        int packed = reader.Count(DeltaLimits.MessageLiterals);
        var targets = ReadTargets(ref reader, version, sources.Count, literals);
        if (targets is null || reader.Rest.Length != (packed == 0 ? literals : packed))
            return null;
        byte[] content = GC.AllocateUninitializedArray<byte>(literals);
        if (packed == 0)
            reader.Rest.CopyTo(content);
        else if (LZ4Codec.Decode(reader.Rest, content) != literals)
            return null;
        return new DeltaProgram(sources, targets, content);
    }

    private static List<DeltaTarget>? ReadTargets(ref DeltaReader reader, byte version, int sources, int literals)
    {
        var targets = new List<DeltaTarget>();
        int source = 0, end = 0, literal = 0;
        long length = 0;
        for (int left = reader.Count(DeltaLimits.MessageBlocks); left > 0 && !reader.Failed; left--)
        {
            BlockHash? hash = version == FullVersion ? new BlockHash(reader.Bytes(BlockHash.Size)) : null;
            ulong prefix = hash?.Prefix ?? BinaryPrimitives.ReadUInt64BigEndian(reader.Bytes(8));
            length = version == FullVersion ? reader.Count(Blocks.BlockLimits.MaxContent) : length + reader.Signed();
            if (length is <= 0 or > Blocks.BlockLimits.MaxContent || ReadCopies(ref reader, (int)length, sources, ref source, ref end) is not { } copies)
                return null;
            int first = literal;
            literal += (int)length - copies.Sum(c => c.Length);
            if (literal > literals)
                return null;
            targets.Add(new DeltaTarget(prefix, hash, (int)length, first, copies));
        }
        return reader.Failed || literal != literals ? null : targets;
    }

    private static List<DeltaPiece>? ReadCopies(ref DeltaReader reader, int length, int sources, ref int source, ref int end)
    {
        var copies = new List<DeltaPiece>();
        int position = 0;
        for (int more = reader.Count(length); more > 0 && !reader.Failed; more--)
        {
            int start = position + reader.Count(length - position);
            int copied = reader.Count(length - start);
            long step = reader.Signed();
            long offset = (step == 0 ? end : 0) + reader.Signed();
            long next = source + step;
            if (next < 0 || next >= sources || offset < 0 || offset > Blocks.BlockLimits.MaxContent)
                return null;
            (source, end) = ((int)next, (int)offset + copied);
            position = start + copied;
            copies.Add(new DeltaPiece(start, copied, source, (int)offset));
        }
        return copies;
    }
}

/// <summary>A block to build out of.</summary>
/// <param name="Prefix">The first eight bytes of its name.</param>
/// <param name="Hash">Its name, where the message has it whole.</param>
internal readonly record struct DeltaSource(ulong Prefix, BlockHash? Hash);

/// <summary>A block to build.</summary>
/// <param name="Prefix">The first eight bytes of its name.</param>
/// <param name="Hash">Its name, where the message has it whole.</param>
/// <param name="Length">Bytes of content.</param>
/// <param name="Literals">Where its literals begin, among those of the message.</param>
/// <param name="Copies">What is copied, in order; what is between is literal.</param>
internal sealed record DeltaTarget(ulong Prefix, BlockHash? Hash, int Length, int Literals, IReadOnlyList<DeltaPiece> Copies)
{
    /// <summary>Builds the content. False where a source is too short; the content is then anything.</summary>
    /// <param name="content">As long as <see cref="Length"/>.</param>
    /// <param name="literals">Those of the message.</param>
    /// <param name="read">The content of a source; empty where it cannot be had.</param>
    public bool TryBuild(Span<byte> content, ReadOnlySpan<byte> literals, Func<int, ReadOnlyMemory<byte>> read) => TryBuild(content, literals, (number, offset, piece) =>
    {
        var source = read(number).Span;
        return offset + piece.Length <= source.Length && source.Slice(offset, piece.Length).TryCopyTo(piece);
    });

    /// <summary>The same, each piece read by itself.</summary>
    public bool TryBuild(Span<byte> content, ReadOnlySpan<byte> literals, ReadPiece read)
    {
        int position = 0, literal = Literals;
        foreach (var copy in Copies)
        {
            int gap = copy.Start - position;
            literals.Slice(literal, gap).CopyTo(content[position..]);
            if (!read(copy.Source, copy.Offset, content.Slice(copy.Start, copy.Length)))
                return false;
            literal += gap;
            position = copy.Start + copy.Length;
        }
        literals.Slice(literal, Length - position).CopyTo(content[position..]);
        return true;
    }
}

/// <summary>Reads a piece of a source.</summary>
/// <param name="source">Which, among those of the message.</param>
/// <param name="offset">First byte in it.</param>
/// <param name="piece">Filled.</param>
/// <returns>False where the source cannot be had, or is too short.</returns>
internal delegate bool ReadPiece(int source, int offset, Span<byte> piece);

/// <summary>A piece of a target: where it is there, how long it is, in which of the message's sources it is found, and where.</summary>
internal readonly record struct DeltaPiece(int Start, int Length, int Source, int Offset);

/// <summary>Reads a message. What is beyond its end, or above a bound, reads as 0 and makes it <see cref="Failed"/>.</summary>
internal ref struct DeltaReader(ReadOnlySpan<byte> rest)
{
    private static readonly byte[] s_nothing = new byte[BlockHash.Size];

    public ReadOnlySpan<byte> Rest { get; private set; } = rest;

    public bool Failed { get; private set; }

    public byte Byte() => Bytes(1)[0];

    public ReadOnlySpan<byte> Bytes(int count)
    {
        if (Rest.Length < count)
        {
            Fail();
            return s_nothing.AsSpan(0, count);
        }
        var taken = Rest[..count];
        Rest = Rest[count..];
        return taken;
    }

    /// <summary>A number from 0 to a bound.</summary>
    public int Count(int bound)
    {
        ulong value = Varint();
        if (value <= (ulong)Math.Max(0, bound))
            return (int)value;
        Fail();
        return 0;
    }

    /// <summary>A number of either sign, small enough that sums of two do not overflow.</summary>
    public long Signed()
    {
        ulong value = Varint();
        if (value > uint.MaxValue)
            Fail();
        return Failed ? 0 : (long)(value >> 1) ^ -(long)(value & 1);
    }

    private ulong Varint()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64 && !Failed; shift += 7)
        {
            byte next = Byte();
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
                return value;
        }
        Fail();
        return 0;
    }

    private void Fail()
    {
        Failed = true;
        Rest = default;
    }
}
