using System.Buffers.Binary;
using System.Numerics;
using System.Security.Cryptography;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>Builds a file's content hash out of the hashes of its blocks, in order. Not thread-safe.</summary>
/// <remarks>
/// <para>Definition, for ever (version 1). S is the volume's block size, L the file's length in bytes.</para>
/// <para>L at most S: SHA-256 of the content, as sha256sum(1) prints it.</para>
/// <para>
/// L above S: a tree. Level 0 has a node a block: the SHA-256 of its content, the last block being as long as its data; a block that is all zero, stored or a hole, counts as 32 zero bytes. Level k+1 has a node for
/// each 256 of level k, the last for what is left: the SHA-256 of these nodes, one behind the other; 32 zero bytes where all of them are zero bytes. Let T be the lowest level from 1 on with
/// at most 256 nodes. The content hash is the SHA-256 of: the ASCII text "OrleansFs content", a byte 0, a byte 1 (the version), S as 4 bytes, L as 8 bytes, both little-endian, and the nodes of level T.
/// </para>
/// <para>
/// So a node of level 1 is a segment of the manifest, a change in a file of any size costs a hash a level, and 8 EiB of hole cost nothing. Two files are the same where hash and length are: the length keeps a
/// short file that was made to look like the input of a long one's root apart from it.
/// </para>
/// </remarks>
internal sealed class ContentHashBuilder
{
    private const int FanOut = 256;
    private const byte Version = 1;

    private readonly int _blockSize;
    private readonly List<Level> _levels = [new()];
    private BlockHash _first;
    private long _blocks;

    /// <param name="blockSize">S: a power of two, 4 KiB to 4 MiB.</param>
    public ContentHashBuilder(int blockSize)
    {
        if (blockSize is < 4096 or > BlockLimits.MaxContent || !BitOperations.IsPow2(blockSize))
            throw new ArgumentOutOfRangeException(nameof(blockSize), blockSize, "a block size is a power of two from 4 KiB to 4 MiB");
        _blockSize = blockSize;
    }

    private static ReadOnlySpan<byte> Prefix => "OrleansFs content\0"u8;

    /// <summary>The next block; <see cref="BlockHash.Hole"/> for one that is all zero.</summary>
    public void Append(BlockHash hash)
    {
        if (_blocks++ == 0)
            _first = hash;
        Span<byte> node = stackalloc byte[BlockHash.Size];
        hash.CopyTo(node);
        AppendNode(0, node);
    }

    /// <summary>The next blocks, 32 bytes each, as a manifest segment holds them.</summary>
    public void Append(ReadOnlySpan<byte> hashes)
    {
        for (; !hashes.IsEmpty; hashes = hashes[BlockHash.Size..])
            Append(new BlockHash(hashes[..BlockHash.Size]));
    }

    /// <summary>The next 256 blocks, by the node above them, where the number of blocks so far is a multiple of 256 and more follow.</summary>
    /// <param name="node">SHA-256 of their hashes; 32 zero bytes where all are holes.</param>
    public void AppendSegment(ReadOnlySpan<byte> node)
    {
        if (_blocks % FanOut != 0)
            throw new InvalidOperationException("a segment begins at a multiple of 256 blocks");
        if (_levels[0].Count > 0)
            Flush(0);
        EnsureLevel(1);
        AppendNode(1, node);
        _blocks += FanOut;
    }

    /// <summary>The next <paramref name="count"/> blocks are holes: as cheap for 2^50 of them as for one.</summary>
    public void AppendHoles(long count)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        _blocks += count;
        AppendZeros(0, count);
    }

    /// <summary>The hash of the whole. Blocks that were not appended are holes. Ends the use of the builder.</summary>
    /// <param name="length">Bytes of the file.</param>
    public BlockHash Finish(long length)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(length);
        long blocks = length / _blockSize + (length % _blockSize == 0 ? 0 : 1);
        if (_blocks > blocks)
            throw new ArgumentException($"{_blocks} blocks were appended, {length} bytes have {blocks}", nameof(length));
        if (blocks <= 1)
            return _first.IsHole ? BlockHash.Of(new byte[length]) : _first;
        AppendHoles(blocks - _blocks);
        int top = 0;
        long nodes = blocks;
        do
        {
            Flush(top++);
            nodes = (nodes + FanOut - 1) / FanOut;
        }
        while (nodes > FanOut);
        return Root(length, _levels[top].Nodes);
    }

    private BlockHash Root(long length, ReadOnlySpan<byte> nodes)
    {
        byte[] input = new byte[Prefix.Length + 1 + 4 + 8 + nodes.Length];
        Prefix.CopyTo(input);
        var rest = input.AsSpan(Prefix.Length);
        rest[0] = Version;
        BinaryPrimitives.WriteInt32LittleEndian(rest[1..], _blockSize);
        BinaryPrimitives.WriteInt64LittleEndian(rest[5..], length);
        nodes.CopyTo(rest[13..]);
        return BlockHash.Of(input);
    }

    private void AppendNode(int level, ReadOnlySpan<byte> node)
    {
        // A full level is handed up only when there is more: the top level may be exactly full.
        if (_levels[level].Count == FanOut)
            Flush(level);
        _levels[level].Add(node);
    }

    private void AppendZeros(int level, long count)
    {
        if (count == 0)
            return;
        if (_levels[level].Count > 0)
        {
            int fit = (int)Math.Min(count, FanOut - _levels[level].Count);
            _levels[level].AddZeros(fit);
            count -= fit;
            if (count == 0)
                return;
            Flush(level);
        }
        long full = (count - 1) / FanOut;
        if (full > 0)
        {
            EnsureLevel(level + 1);
            AppendZeros(level + 1, full);
        }
        _levels[level].AddZeros((int)(count - full * FanOut));
    }

    private void Flush(int level)
    {
        EnsureLevel(level + 1);
        Span<byte> node = stackalloc byte[BlockHash.Size];
        _levels[level].Take(node);
        AppendNode(level + 1, node);
    }

    private void EnsureLevel(int level)
    {
        if (_levels.Count == level)
            _levels.Add(new Level());
    }

    /// <summary>The nodes of a level that have no parent yet: up to 256.</summary>
    private sealed class Level
    {
        private readonly byte[] _nodes = new byte[FanOut * BlockHash.Size];
        private bool _allZero = true;

        public int Count { get; private set; }

        public ReadOnlySpan<byte> Nodes => _nodes.AsSpan(0, Count * BlockHash.Size);

        public void Add(ReadOnlySpan<byte> node)
        {
            node.CopyTo(_nodes.AsSpan(Count++ * BlockHash.Size));
            _allZero &= !node.ContainsAnyExcept((byte)0);
        }

        public void AddZeros(int count)
        {
            _nodes.AsSpan(Count * BlockHash.Size, count * BlockHash.Size).Clear();
            Count += count;
        }

        /// <summary>Gives the parent of what is here, and begins anew.</summary>
        public void Take(Span<byte> parent)
        {
            if (_allZero)
                parent.Clear();
            else
                SHA256.HashData(Nodes, parent);
            Count = 0;
            _allZero = true;
        }
    }
}

/// <summary>Computes the content hash of any local data, as <c>orleansfs hash</c> does; <c>user.orleansfs.hash</c> of a file on a volume of that block size is the same.</summary>
public static class ContentHasher
{
    /// <summary>Hashes a stream from where it stands to its end.</summary>
    /// <param name="stream">Read in large sequential pieces.</param>
    /// <param name="blockSize">S of the volume to compare with, bytes: a power of two, 4 KiB to 4 MiB.</param>
    /// <param name="progress">Told the bytes hashed so far.</param>
    /// <param name="cancellation">Stops between pieces.</param>
    /// <returns>32 bytes; for data of at most one block its SHA-256.</returns>
    public static async Task<BlockHash> HashAsync(Stream stream, int blockSize, IProgress<long>? progress, CancellationToken cancellation)
    {
        var builder = new ContentHashBuilder(blockSize);
        byte[] current = new byte[Math.Max(blockSize, BlockLimits.HashPiece)];
        byte[] next = new byte[current.Length];
        long length = 0;
        int filled = await stream.ReadAtLeastAsync(current, current.Length, throwOnEndOfStream: false, cancellation);
        while (filled > 0)
        {
            // The next piece is read while this one is hashed; a short piece is the last.
            var reading = filled < current.Length ? Task.FromResult(0) : ReadAsync(stream, next, cancellation);
            for (int i = 0; i < filled; i += blockSize)
            {
                var block = current.AsSpan(i, Math.Min(blockSize, filled - i));
                builder.Append(BlockStore.IsAllZero(block) ? BlockHash.Hole : BlockHash.Of(block));
            }
            length += filled;
            progress?.Report(length);
            filled = await reading;
            (current, next) = (next, current);
        }
        return builder.Finish(length);
    }

    private static Task<int> ReadAsync(Stream stream, byte[] buffer, CancellationToken cancellation) =>
        stream.ReadAtLeastAsync(buffer, buffer.Length, throwOnEndOfStream: false, cancellation).AsTask();
}
