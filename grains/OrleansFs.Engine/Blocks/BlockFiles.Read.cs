using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

internal sealed partial class BlockFiles
{
    /// <summary>Reads a whole block and checks it. <paramref name="destination"/> has room for the length the block is known to have, at least; a longer block is Corrupt.</summary>
    /// <remarks>One read(2)-like call takes header and payload; a payload that is the content lands in the destination without a copy, but for large blocks of version 1. A block without a file may be one that is composed.</remarks>
    public BlockReadResult Read(BlockHash hash, Span<byte> destination) =>
        _fresh.TryRead(hash, destination, out int fresh) ? BlockReadResult.Ok(fresh) : ReadStoredHere(hash, destination);

    /// <summary>The same, and never from memory: what is kept of it for replicas.</summary>
    private BlockReadResult ReadStoredHere(BlockHash hash, Span<byte> destination)
    {
        var read = ReadFile(hash, destination);
        if (read.IsOk || Composed is not { } composed)
            return read;
        var built = composed.Read(hash, destination);
        if (built.Status != BlockReadStatus.Missing)
            return built;
        // One that was put into a file in this moment is no longer composed.
        return read.Status == BlockReadStatus.Missing ? ReadFile(hash, destination) : read;
    }

    /// <summary>The same, from a file of that name only.</summary>
    public BlockReadResult ReadFile(BlockHash hash, Span<byte> destination) => ReadFile(hash, destination, now: false)!.Value;

    /// <summary>As <see cref="Read(BlockHash, Span{byte})"/> where it needs no wait for the disk; null where it does.</summary>
    public BlockReadResult? TryRead(BlockHash hash, Span<byte> destination) =>
        _fresh.TryRead(hash, destination, out int fresh) ? BlockReadResult.Ok(fresh) : ReadFile(hash, destination, now: true);

    private BlockReadResult? ReadFile(BlockHash hash, Span<byte> destination, bool now)
    {
        for (var opened = new Opened(this); ;)
        {
            // Smaller ones are mostly read once, and would drive out what is read in parts.
            var read = destination.Length < BlockFormat.MinPieced ? ReadOnce(hash, destination, now) : ReadKept(hash, destination, now);
            if (read is not { Status: BlockReadStatus.Corrupt or BlockReadStatus.Unreadable })
                return read;
            _open.Forget(hash);
            if (!opened.MayBeAnother())
                return read;
        }
    }

    private BlockReadResult? ReadOnce(BlockHash hash, Span<byte> destination, bool now)
    {
        int fd = OpenBlock(hash, now);
        if (fd < 0)
            return now && LinuxFile.LastError == Errno.EAGAIN ? null : Refused(LinuxFile.LastError);
        try
        {
            return Read(hash, fd, destination, now);
        }
        finally
        {
            LinuxFile.Close(fd);
        }
    }

    private BlockReadResult? ReadKept(BlockHash hash, Span<byte> destination, bool now)
    {
        if (Open(hash, now, out var error) is not { } open)
            return now && error == Errno.EAGAIN ? null : Refused(error);
        try
        {
            return Read(hash, open.Descriptor, destination, now);
        }
        finally
        {
            _open.GiveBack(open);
        }
    }

    [SkipLocalsInit]
    private static BlockReadResult? Read(BlockHash hash, int fd, Span<byte> destination, bool now)
    {
        // As much of a head as the version has that is to be expected, so that the content lands where it belongs.
        Span<byte> head = stackalloc byte[BlockFormat.HeadBytes];
        head = head[..BlockFormat.PayloadAt(BlockFormat.VersionOf(BlockCodec.Raw, destination.Length))];
        byte beyond = 0;
        var error = LinuxFile.ReadAll(fd, head, destination, new Span<byte>(ref beyond), now, out int read);
        if (error != Errno.None)
            return now && error == Errno.EAGAIN ? null : BlockReadResult.Unreadable(error);
        if (read < BlockHeader.Size)
            return BlockReadResult.Corrupt($"the file has {read} bytes, less than a header");
        if (read > head.Length + destination.Length)
            return BlockReadResult.Corrupt($"the file has more than the {destination.Length} bytes that are known of the block");
        return Unpack(hash, head, destination, read);
    }

    /// <summary>Reads the block from its file, or those that it is composed of, and computes its SHA-256 again. Length is that of the content.</summary>
    public BlockReadResult Verify(BlockHash hash) => Verify(hash, Inspect(hash), isFile: false);

    /// <summary>The same, from a file of that name only.</summary>
    public BlockReadResult VerifyFile(BlockHash hash) => Verify(hash, InspectFile(hash), isFile: true);

    private BlockReadResult Verify(BlockHash hash, BlockReadResult inspected, bool isFile)
    {
        if (!inspected.IsOk)
            return inspected;
        byte[] buffer = ArrayPool<byte>.Shared.Rent(inspected.Length);
        try
        {
            var content = buffer.AsSpan(0, inspected.Length);
            var read = isFile ? ReadFile(hash, content) : ReadStoredHere(hash, content);
            if (read.IsOk && BlockHash.Of(content[..read.Length]) is var found && found != hash)
                return BlockReadResult.Corrupt($"the content has the SHA-256 {found}");
            return read;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(buffer);
        }
    }

    /// <summary>As <see cref="Verify(BlockHash)"/>, from the disk: pages that the kernel has of the file are given back before, unless they are dirty, and after.</summary>
    public BlockReadResult VerifyOnDisk(BlockHash hash)
    {
        DropPages(hash);
        var read = Verify(hash);
        DropPages(hash);
        return read;
    }

    private void DropPages(BlockHash hash)
    {
        int fd = OpenBlock(hash);
        if (fd < 0)
            return;
        LinuxFile.DropPages(fd);
        LinuxFile.Close(fd);
    }

    /// <summary>Looks at the header and the length of the file only; of a composed block whether the files of its sources are there. Length is that of the content.</summary>
    public BlockReadResult Inspect(BlockHash hash)
    {
        var file = InspectFile(hash);
        return !file.IsOk && Composed?.Inspect(hash) is { IsOk: true } composed ? composed : file;
    }

    private BlockReadResult InspectFile(BlockHash hash)
    {
        for (var opened = new Opened(this); ;)
        {
            var inspected = InspectOpened(hash);
            if (inspected.Status != BlockReadStatus.Corrupt || !opened.MayBeAnother())
                return inspected;
        }
    }

    private BlockReadResult InspectOpened(BlockHash hash)
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

    /// <param name="hash">The block.</param>
    /// <param name="head">The beginning of the file.</param>
    /// <param name="destination">What follows, and room for the content.</param>
    /// <param name="read">Bytes of the file.</param>
    private static BlockReadResult Unpack(BlockHash hash, ReadOnlySpan<byte> head, Span<byte> destination, int read)
    {
        var header = MemoryMarshal.Read<BlockHeader>(head);
        if (BlockFormat.Fault(header, read) is { } fault)
            return BlockReadResult.Corrupt(fault);
        int length = (int)header.RawLength;
        if (length > destination.Length)
            return BlockReadResult.Corrupt($"the content has {length} bytes, more than the {destination.Length} that are known of the block");
        // Where the head was taken for longer than it is, the payload begins in it.
        int at = BlockFormat.PayloadAt(header.Version);
        var first = head[Math.Min(at, Math.Min(read, head.Length))..Math.Min(read, head.Length)];
        var table = header.Version == BlockFormat.PiecedVersion ? head[BlockHeader.Size..] : default;
        int rest = (int)header.PayloadLength - first.Length;
        if (header.Codec == BlockCodec.Raw)
        {
            if (!first.IsEmpty)
            {
                destination[..rest].CopyTo(destination[first.Length..]);
                first.CopyTo(destination);
            }
            return BlockFormat.IsIntact(hash, header, table, destination[..length]) ? BlockReadResult.Ok(length) : BlockReadResult.Corrupt("the checksum does not match");
        }
        var payload = BlockCompressor.Scratch((int)header.PayloadLength);
        first.CopyTo(payload);
        destination[..rest].CopyTo(payload[first.Length..]);
        if (!BlockFormat.IsIntact(hash, header, table, payload))
            return BlockReadResult.Corrupt("the checksum does not match");
        return BlockCompressor.TryDecode(payload, destination[..length]) ? BlockReadResult.Ok(length) : BlockReadResult.Corrupt("the payload is not what the codec makes");
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

    /// <summary>Tells whether what is not the block that its name says is one that was removed, and written over, after it was opened: then the name is to be looked up again.</summary>
    private struct Opened(BlockFiles files)
    {
        private ulong _taken = files._recycled.Taken;
        private bool _wasAgain;
        private int _left = BlockLimits.LooksAgain;

        /// <summary>What is found is not to be believed yet.</summary>
        public bool MayBeAnother()
        {
            ulong taken = files._recycled.Taken;
            // A descriptor that was kept may be older than this read.
            bool may = !_wasAgain || taken != _taken;
            (_taken, _wasAgain) = (taken, true);
            return may && _left-- > 0;
        }
    }
}
