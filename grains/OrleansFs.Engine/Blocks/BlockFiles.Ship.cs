using System.Buffers;
using System.Runtime.InteropServices;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <content>Blocks on their way from one copy to another.</content>
internal sealed partial class BlockFiles
{
    /// <summary>Reads the payload of a block as it is stored, and checks it. The block is set where the result is Ok.</summary>
    public BlockReadResult ReadStored(BlockHash hash, out ShippedBlock block)
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

    /// <summary>Unpacks a block that came from elsewhere. The content is in the first <see cref="ShippedBlock.Length"/> bytes of an array that the caller gives back to the shared pool; null where it is not the block that its
    /// name says.</summary>
    public static byte[]? Unpack(in ShippedBlock block)
    {
        if (block.Length is < 1 or > BlockLimits.MaxContent || (!block.IsCompressed && block.Payload.Length != block.Length))
            return null;
        byte[] content = ArrayPool<byte>.Shared.Rent(block.Length);
        var span = content.AsSpan(0, block.Length);
        bool good = true;
        if (block.IsCompressed)
            good = BlockCompressor.TryDecode(block.Payload.Span, span);
        else
            block.Payload.Span.CopyTo(span);
        if (good && BlockHash.Of(span) == block.Hash)
            return content;
        ArrayPool<byte>.Shared.Return(content);
        return null;
    }

    /// <summary>Brings to disk whatever earlier runs left unsynced: files that no row speaks of may be among them.</summary>
    /// <exception cref="BlockStoreException">The disk fails.</exception>
    public void SyncEarlierRuns()
    {
        var error = LinuxFile.SyncFileSystem(_root);
        if (error != Errno.None)
            throw new BlockStoreException(error, "the block folders cannot be brought to disk");
    }
}
