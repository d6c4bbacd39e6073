using System.Text;

namespace OrleansFs.Fuse.Tests.MemoryFs;

/// <summary>An inode in memory. Guarded by the file system's lock.</summary>
internal sealed class MemoryNode
{
    internal const uint TypeMask = 0xF000;
    internal const uint TypeDirectory = 0x4000;
    internal const uint TypeRegular = 0x8000;
    internal const uint TypeLink = 0xA000;

    private const int ChunkSize = 64 * 1024;

    private readonly Dictionary<long, byte[]> _chunks = [];

    internal MemoryNode(ulong number, uint mode, uint uid, uint gid, FuseTime now)
    {
        Number = number;
        Mode = mode;
        Uid = uid;
        Gid = gid;
        AccessTime = ModificationTime = ChangeTime = now;
        LinkCount = IsDirectory ? 2u : 1u;
        if (IsDirectory)
            Entries = [];
    }

    internal ulong Number { get; }

    internal uint Mode { get; set; }

    internal uint Uid { get; set; }

    internal uint Gid { get; set; }

    internal uint LinkCount { get; set; }

    internal uint Device { get; set; }

    internal long Length { get; private set; }

    internal int Handles { get; set; }

    internal byte[] Target { get; set; } = [];

    internal FuseTime AccessTime { get; set; }

    internal FuseTime ModificationTime { get; set; }

    internal FuseTime ChangeTime { get; set; }

    internal Dictionary<string, byte[]> XAttrs { get; } = [];

    /// <summary>Of a directory: names (as Latin-1 text, so that any byte has its character) with their cookie.</summary>
    internal Dictionary<string, MemoryEntry>? Entries { get; }

    /// <summary>Of a directory: the same by cookie; cookies only grow.</summary>
    internal SortedList<ulong, string> Order { get; } = [];

    internal ulong NextCookie { get; set; } = 3; // 1 and 2 are "." and ".."

    internal MemoryNode? Parent { get; set; }

    internal bool IsDirectory => (Mode & TypeMask) == TypeDirectory;

    internal FuseAttr Attr => new()
    {
        Ino = Number,
        Size = (ulong)(IsDirectory ? 4096 : (Mode & TypeMask) == TypeLink ? Target.Length : Length),
        Blocks = (ulong)(_chunks.Count * (ChunkSize / 512)),
        AccessTime = AccessTime,
        ModificationTime = ModificationTime,
        ChangeTime = ChangeTime,
        Mode = Mode,
        LinkCount = LinkCount,
        Uid = Uid,
        Gid = Gid,
        Device = Device,
        BlockSize = 4096,
    };

    internal static string Text(ReadOnlySpan<byte> name) => Encoding.Latin1.GetString(name);

    internal int Read(long offset, Span<byte> destination)
    {
        int wanted = (int)Math.Clamp(Length - offset, 0, destination.Length);
        for (int done = 0; done < wanted;)
        {
            (long chunk, int at) = (((offset + done) / ChunkSize), (int)((offset + done) % ChunkSize));
            int count = Math.Min(wanted - done, ChunkSize - at);
            if (_chunks.TryGetValue(chunk, out byte[]? bytes))
                bytes.AsSpan(at, count).CopyTo(destination[done..]);
            else
                destination.Slice(done, count).Clear();
            done += count;
        }
        return wanted;
    }

    internal void Write(long offset, ReadOnlySpan<byte> data)
    {
        for (int done = 0; done < data.Length;)
        {
            (long chunk, int at) = (((offset + done) / ChunkSize), (int)((offset + done) % ChunkSize));
            int count = Math.Min(data.Length - done, ChunkSize - at);
            if (!_chunks.TryGetValue(chunk, out byte[]? bytes))
                _chunks[chunk] = bytes = new byte[ChunkSize];
            data.Slice(done, count).CopyTo(bytes.AsSpan(at));
            done += count;
        }
        Length = Math.Max(Length, offset + data.Length);
    }

    internal void SetLength(long length)
    {
        if (length < Length)
        {
            Zero(length, Math.Min(Length, (length | (ChunkSize - 1)) + 1) - length);
            foreach (long chunk in _chunks.Keys.Where(c => c * ChunkSize >= length).ToArray())
                _chunks.Remove(chunk);
        }
        Length = length;
    }

    /// <summary>Makes a range read as zero; whole chunks become holes.</summary>
    internal void Zero(long offset, long count)
    {
        long end = offset + count;
        while (offset < end)
        {
            (long chunk, int at) = (offset / ChunkSize, (int)(offset % ChunkSize));
            int part = (int)Math.Min(end - offset, ChunkSize - at);
            if (part == ChunkSize)
                _chunks.Remove(chunk);
            else if (_chunks.TryGetValue(chunk, out byte[]? bytes))
                bytes.AsSpan(at, part).Clear();
            offset += part;
        }
    }

    /// <summary>The next byte from an offset that is in data, or in a hole.</summary>
    internal long? Seek(long offset, bool data)
    {
        if (offset >= Length)
            return null;
        for (; offset < Length; offset = (offset / ChunkSize * ChunkSize) + ChunkSize)
        {
            if (_chunks.ContainsKey(offset / ChunkSize) == data)
                return offset;
        }
        return data ? null : Length;
    }
}

/// <summary>A name in a directory.</summary>
internal readonly record struct MemoryEntry(MemoryNode Node, ulong Cookie);
