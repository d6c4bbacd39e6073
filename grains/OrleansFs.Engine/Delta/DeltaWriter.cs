using System.Buffers;
using K4os.Compression.LZ4;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>Writes a message that tells how to build blocks; its layout is drawn in DeltaProgram.cs. Reused after <see cref="Take"/>; not thread-safe.</summary>
internal sealed class DeltaWriter
{
    private readonly List<Target> _targets = [];
    private readonly List<DeltaCopy> _copies = [];
    private readonly ArrayBufferWriter<byte> _literals = new();

    /// <summary>Blocks in the message so far.</summary>
    public int Count => _targets.Count;

    /// <summary>What it will take, at most about: copies with eight bytes each, literals as they are.</summary>
    public int Bytes => _literals.WrittenCount + _copies.Count * 8 + _targets.Count * (BlockHash.Size + 16);

    public IEnumerable<BlockHash> Sources => _copies.Select(c => c.Source).Distinct();

    /// <summary>Adds a block.</summary>
    /// <param name="target">Its name.</param>
    /// <param name="content">Its content.</param>
    /// <param name="start">Where it begins in what the copies are told of.</param>
    /// <param name="copies">Of it alone, in order.</param>
    public void Add(BlockHash target, ReadOnlySpan<byte> content, int start, ReadOnlySpan<DeltaCopy> copies)
    {
        int position = 0;
        foreach (var copy in copies)
        {
            _literals.Write(content[position..(copy.Start - start)]);
            position = copy.End - start;
            _copies.Add(copy with { Start = copy.Start - start });
        }
        _literals.Write(content[position..]);
        _targets.Add(new Target(target, content.Length, copies.Length));
    }

    /// <summary>The message; the writer is empty afterwards.</summary>
    /// <param name="isKnownByPrefix">Whether the first bytes of a source's name are enough for the builder.</param>
    /// <param name="version">The form: <see cref="DeltaProgram.FullVersion"/> names its targets in full.</param>
    public byte[] Take(Func<BlockHash, bool> isKnownByPrefix, byte version)
    {
        var written = new ArrayBufferWriter<byte>(256);
        Put(written, [version]);
        var numbers = PutSources(written, isKnownByPrefix);
        var literals = _literals.WrittenSpan;
        byte[] packed = ArrayPool<byte>.Shared.Rent(LZ4Codec.MaximumOutputSize(literals.Length));
        int packedBytes = literals.Length < DeltaLimits.MinGap ? 0 : LZ4Codec.Encode(literals, packed);
        if (packedBytes <= 0 || packedBytes >= literals.Length)
            packedBytes = 0;
        Varint(written, (ulong)literals.Length);
        Varint(written, (ulong)packedBytes);
        PutTargets(written, numbers, version);
        Put(written, packedBytes > 0 ? packed.AsSpan(0, packedBytes) : literals);
        ArrayPool<byte>.Shared.Return(packed);
        Clear();
        return written.WrittenSpan.ToArray();
    }

    /// <summary>Forgets what was written.</summary>
    public void Clear()
    {
        _targets.Clear();
        _copies.Clear();
        _literals.ResetWrittenCount();
    }

    private Dictionary<BlockHash, int> PutSources(ArrayBufferWriter<byte> written, Func<BlockHash, bool> isKnownByPrefix)
    {
        var byKind = Sources.ToLookup(isKnownByPrefix);
        var numbers = new Dictionary<BlockHash, int>();
        Span<byte> name = stackalloc byte[BlockHash.Size];
        foreach (bool isShort in (bool[])[true, false])
        {
            Varint(written, (ulong)byKind[isShort].Count());
            foreach (var source in byKind[isShort])
            {
                numbers.Add(source, numbers.Count);
                source.CopyTo(name);
                Put(written, isShort ? name[..8] : name);
            }
        }
        return numbers;
    }

    private void PutTargets(ArrayBufferWriter<byte> written, Dictionary<BlockHash, int> numbers, byte version)
    {
        Varint(written, (ulong)_targets.Count);
        Span<byte> name = stackalloc byte[BlockHash.Size];
        int source = 0, end = 0, next = 0, length = 0;
        foreach (var target in _targets)
        {
            target.Hash.CopyTo(name);
            if (version == DeltaProgram.FullVersion)
            {
                Put(written, name);
                Varint(written, (ulong)target.Length);
            }
            else
            {
                Put(written, name[..8]);
                Signed(written, target.Length - length);
                length = target.Length;
            }
            Varint(written, (ulong)target.Copies);
            int position = 0;
            for (int left = target.Copies; left > 0; left--)
            {
                var copy = _copies[next++];
                int number = numbers[copy.Source];
                Varint(written, (ulong)(copy.Start - position));
                Varint(written, (ulong)copy.Length);
                Signed(written, number - source);
                Signed(written, copy.Offset - (number == source ? end : 0));
                (source, end, position) = (number, copy.Offset + copy.Length, copy.End);
            }
        }
    }

    private static void Put(ArrayBufferWriter<byte> written, ReadOnlySpan<byte> bytes) => written.Write(bytes);

    private static void Signed(ArrayBufferWriter<byte> written, long value) => Varint(written, (ulong)(value << 1 ^ value >> 63));

    private static void Varint(ArrayBufferWriter<byte> written, ulong value)
    {
        Span<byte> bytes = stackalloc byte[10];
        int count = 0;
        for (; value >= 0x80; value >>= 7)
            bytes[count++] = (byte)(value | 0x80);
        bytes[count++] = (byte)value;
        written.Write(bytes[..count]);
    }

    private readonly record struct Target(BlockHash Hash, int Length, int Copies);
}
