using System.Buffers;
using System.Runtime.InteropServices;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <content>Blocks on their way from one copy to another.</content>
internal sealed partial class BlockFiles
{
    /// <summary>A block that was just written, for one of <see cref="Readers"/>, who gives it back; null where it is to be read with <see cref="ReadStored"/>.</summary>
    public FreshBlock? TakeFresh(BlockHash hash) => _fresh.Take(hash);

    /// <summary>Reads the payload of a block as it is stored, and checks it. The block is set where the result is Ok.</summary>
    public BlockReadResult ReadStored(BlockHash hash, out ShippedBlock block)
    {
        for (var opened = new Opened(this); ;)
        {
            var read = ReadOpened(hash, out block);
            if (read.Status != BlockReadStatus.Corrupt || !opened.MayBeAnother())
                return read;
        }
    }

    private BlockReadResult ReadOpened(BlockHash hash, out ShippedBlock block)
    {
        block = default;
        int fd = OpenBlock(hash);
        if (fd < 0)
            return Refused(LinuxFile.LastError) is var refused && refused.Status == BlockReadStatus.Missing && Composed is not null ? MakeWhole(hash, out block) : refused;
        Span<byte> head = stackalloc byte[BlockFormat.HeadBytes];
        BlockHeader header = default;
        byte[] payload = [];
        long length = 0;
        Errno error;
        try
        {
            error = LinuxFile.ReadAt(fd, head, 0, now: false, out int read);
            head = head[..read];
            if (error == Errno.None)
                error = LinuxFile.Length(fd, out length);
            if (error == Errno.None && read >= BlockHeader.Size)
            {
                header = MemoryMarshal.Read<BlockHeader>(head);
                int at = BlockFormat.PayloadAt(header.Version);
                payload = GC.AllocateUninitializedArray<byte>((int)Math.Clamp(length - at, 0, BlockLimits.MaxContent));
                error = LinuxFile.ReadAt(fd, payload, at, now: false, out read);
                payload = read < payload.Length ? [] : payload;
            }
        }
        finally
        {
            LinuxFile.Close(fd);
        }
        if (error != Errno.None)
            return BlockReadResult.Unreadable(error);
        if (head.Length < BlockHeader.Size)
            return BlockReadResult.Corrupt($"the file has {head.Length} bytes, less than a header");
        if (BlockFormat.Fault(header, length) is { } fault)
            return BlockReadResult.Corrupt(fault);
        if (payload.Length != header.PayloadLength || !BlockFormat.IsIntact(hash, header, header.Version == BlockFormat.PiecedVersion ? head[BlockHeader.Size..] : default, payload))
            return BlockReadResult.Corrupt("the checksum does not match");
        block = new ShippedBlock { Hash = hash, Length = (int)header.RawLength, IsCompressed = header.Codec == BlockCodec.Lz4, Payload = payload };
        return BlockReadResult.Ok(block.Length);
    }

    /// <summary>A block that has no file goes as one that has.</summary>
    private BlockReadResult MakeWhole(BlockHash hash, out ShippedBlock block)
    {
        block = default;
        var known = Inspect(hash);
        if (!known.IsOk)
            return known;
        byte[] content = GC.AllocateUninitializedArray<byte>(known.Length);
        var read = Read(hash, content);
        if (!read.IsOk)
            return read;
        var codec = BlockCompressor.Encode(content, out var payload);
        block = new ShippedBlock { Hash = hash, Length = content.Length, IsCompressed = codec == BlockCodec.Lz4, Payload = codec == BlockCodec.Lz4 ? payload.ToArray() : content };
        return read;
    }

    /// <summary>The content of a block that came from elsewhere; null where it is not the block that its name says.</summary>
    public static ReadOnlyMemory<byte>? Unpack(in ShippedBlock block)
    {
        if (!HasLength(block))
            return null;
        var content = block.Payload;
        if (block.IsCompressed)
        {
            byte[] decoded = GC.AllocateUninitializedArray<byte>(block.Length);
            if (!BlockCompressor.TryDecode(block.Payload.Span, decoded))
                return null;
            content = decoded;
        }
        return BlockHash.Of(content.Span) == block.Hash ? content : null;
    }

    /// <summary>Whether a block that came from elsewhere is the one that its name says.</summary>
    public static bool IsWhole(in ShippedBlock block)
    {
        if (!HasLength(block))
            return false;
        if (!block.IsCompressed)
            return BlockHash.Of(block.Payload.Span) == block.Hash;
        byte[] content = ArrayPool<byte>.Shared.Rent(block.Length);
        var span = content.AsSpan(0, block.Length);
        bool isWhole = BlockCompressor.TryDecode(block.Payload.Span, span) && BlockHash.Of(span) == block.Hash;
        ArrayPool<byte>.Shared.Return(content);
        return isWhole;
    }

    /// <summary>Stores a block that came from elsewhere and <see cref="IsWhole"/>, with its payload as it is: as <see cref="Write(BlockHash, ReadOnlySpan{byte})"/> does.</summary>
    /// <param name="block">The block.</param>
    /// <param name="isReadSoon">Somebody here is about to read it, and not all of it at once.</param>
    /// <exception cref="BlockStoreException">ENOSPC, EDQUOT, EIO …: the name is as it was before, nothing is left behind.</exception>
    public StoredBlock Write(in ShippedBlock block, bool isReadSoon)
    {
        _sync.Admit();
        var codec = block.IsCompressed ? BlockCodec.Lz4 : BlockCodec.Raw;
        var payload = block.Payload.Span;
        if (isReadSoon || !IsForDirect(codec, block.Length))
            return Put(block.Hash, codec, block.Length, payload);
        // Copied to where it can go from to the disk: that memory is in the processor's cache, the kernel's pages would not be.
        var aligned = DirectBuffer.OfThread(payload.Length);
        payload.CopyTo(aligned);
        return Put(block.Hash, codec, block.Length, aligned);
    }

    private static bool HasLength(in ShippedBlock block) => block.Length is >= 1 and <= BlockLimits.MaxContent && (block.IsCompressed || block.Payload.Length == block.Length);

    /// <summary>Brings to disk whatever earlier runs left unsynced: files that no row speaks of may be among them.</summary>
    /// <exception cref="BlockStoreException">The disk fails.</exception>
    public void SyncEarlierRuns()
    {
        var error = LinuxFile.SyncFileSystem(_root);
        if (error != Errno.None)
            throw new BlockStoreException(error, "the block folders cannot be brought to disk");
    }
}
