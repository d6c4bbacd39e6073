using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

internal sealed partial class BlockFiles
{
    /// <summary>Reads a whole block and checks it. <paramref name="destination"/> has room for the length the block is known to have, at least; a longer block is Corrupt.</summary>
    /// <remarks>One read(2)-like call takes header and payload; a payload that is the content lands in the destination without a copy.</remarks>
    public BlockReadResult Read(BlockHash hash, Span<byte> destination) => Read(hash, destination, now: false)!.Value;

    /// <summary>The same where it needs no wait for the disk; null where it does.</summary>
    public BlockReadResult? TryRead(BlockHash hash, Span<byte> destination) => Read(hash, destination, now: true);

    private BlockReadResult? Read(BlockHash hash, Span<byte> destination, bool now)
    {
        int fd = OpenBlock(hash, now);
        if (fd < 0)
            return now && LinuxFile.LastError == Errno.EAGAIN ? null : Refused(LinuxFile.LastError);
        BlockHeader header = default;
        byte beyond = 0;
        Errno error;
        int read;
        try
        {
            error = LinuxFile.ReadAll(fd, MemoryMarshal.AsBytes(new Span<BlockHeader>(ref header)), destination, new Span<byte>(ref beyond), now, out read);
        }
        finally
        {
            LinuxFile.Close(fd);
        }
        if (error != Errno.None)
            return now && error == Errno.EAGAIN ? null : BlockReadResult.Unreadable(error);
        if (read < BlockHeader.Size)
            return BlockReadResult.Corrupt($"the file has {read} bytes, less than a header");
        if (read > BlockHeader.Size + destination.Length)
            return BlockReadResult.Corrupt($"the file has more than the {destination.Length} bytes that are known of the block");
        return Unpack(hash, header, destination, read);
    }

    /// <summary>Reads the block and computes its SHA-256 again. Length is that of the content.</summary>
    public BlockReadResult Verify(BlockHash hash)
    {
        var inspected = Inspect(hash);
        if (!inspected.IsOk)
            return inspected;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(inspected.Length);
        try
        {
            var read = Read(hash, buffer.AsSpan(0, inspected.Length));
            if (read.IsOk && BlockHash.Of(buffer.AsSpan(0, read.Length)) is var found && found != hash)
                return BlockReadResult.Corrupt($"the content has the SHA-256 {found}");
            return read;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>Looks at the header and the length of the file only. Length is that of the content.</summary>
    public BlockReadResult Inspect(BlockHash hash)
    {
        int fd = OpenBlock(hash);
        if (fd < 0)
            return Refused(LinuxFile.LastError);
        try
        {
            BlockHeader header = default;
            var error = LinuxFile.ReadAll(fd, MemoryMarshal.AsBytes(new Span<BlockHeader>(ref header)), default, default, now: false, out int read);
            long length = 0;
            if (error == Errno.None)
                error = LinuxFile.Length(fd, out length);
            if (error != Errno.None)
                return BlockReadResult.Unreadable(error);
            if (read < BlockHeader.Size)
                return BlockReadResult.Corrupt($"the file has {read} bytes, less than a header");
            return BlockFormat.Fault(header, length) is { } fault ? BlockReadResult.Corrupt(fault) : BlockReadResult.Ok((int)header.RawLength);
        }
        finally
        {
            LinuxFile.Close(fd);
        }
    }

    private static BlockReadResult Refused(Errno error) => error == Errno.ENOENT ? BlockReadResult.Missing : BlockReadResult.Unreadable(error);

    private static BlockReadResult Unpack(BlockHash hash, in BlockHeader header, Span<byte> destination, int read)
    {
        if (BlockFormat.Fault(header, read) is { } fault)
            return BlockReadResult.Corrupt(fault);
        int length = (int)header.RawLength;
        if (length > destination.Length)
            return BlockReadResult.Corrupt($"the content has {length} bytes, more than the {destination.Length} that are known of the block");
        var payload = destination[..(int)header.PayloadLength];
        if (!BlockFormat.IsIntact(hash, header, payload))
            return BlockReadResult.Corrupt("the checksum does not match");
        if (header.Codec == BlockCodec.Raw)
            return BlockReadResult.Ok(length);
        var compressed = BlockCompressor.Scratch(payload.Length);
        payload.CopyTo(compressed);
        return BlockCompressor.TryDecode(compressed, destination[..length])
            ? BlockReadResult.Ok(length)
            : BlockReadResult.Corrupt("the payload is not what the codec makes");
    }

    [SkipLocalsInit]
    private int OpenBlock(BlockHash hash, bool now = false)
    {
        var path = BlockNames.File(hash, stackalloc byte[BlockNames.MaxPath]);
        int flags = LinuxFile.O_RDONLY | LinuxFile.O_NOFOLLOW;
        if (!_noNoAtime)
        {
            int fd = Open(path, flags | LinuxFile.O_NOATIME, now);
            if (fd >= 0 || LinuxFile.LastError != Errno.EPERM)
                return fd;
            _noNoAtime = true;
        }
        return Open(path, flags, now);
    }

    private int Open(ReadOnlySpan<byte> path, int flags, bool now) => now ? LinuxFile.OpenCached(_root, path, flags) : LinuxFile.Open(_root, path, flags);
}
