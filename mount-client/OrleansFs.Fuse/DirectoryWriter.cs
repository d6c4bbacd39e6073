using System.Runtime.InteropServices;

namespace OrleansFs.Fuse;

/// <summary>
/// A listing under construction, in place in the reply buffer. The handler's until its task completes.
/// Entries are records of struct fuse_dirent, in a plus listing each behind a struct fuse_entry_out, padded to 8 bytes.
/// </summary>
public sealed class DirectoryWriter
{
    private const int DirentHeader = 24; // ino 8 + off 8 + namelen 4 + type 4
    private const int EntryOut = 128; // struct fuse_entry_out

    private Memory<byte> _buffer;

    /// <summary>A writer over a buffer of one's own, to call a file system directly.</summary>
    /// <param name="buffer">Where the records go; the caller's.</param>
    /// <param name="isPlus">Whether each entry carries its node.</param>
    public DirectoryWriter(Memory<byte> buffer, bool isPlus) => Reset(buffer, isPlus);

    internal DirectoryWriter()
    {
    }

    /// <summary>Whether each entry carries its node (READDIRPLUS).</summary>
    public bool IsPlus { get; private set; }

    /// <summary>Bytes used so far.</summary>
    public int Length { get; private set; }

    /// <summary>Entries so far.</summary>
    public int Count { get; private set; }

    internal void Reset(Memory<byte> buffer, bool isPlus)
    {
        _buffer = buffer;
        IsPlus = isPlus;
        Length = 0;
        Count = 0;
    }

    /// <summary>Whether an entry of a given name length still fits: to be asked before a node's lookup is counted.</summary>
    public bool Fits(int nameLength) => RecordSize(nameLength) <= _buffer.Length - Length;

    /// <summary>Add an entry without its node. In a plus listing it counts no lookup: right for "." and "..".</summary>
    /// <param name="name">1 to 255 bytes.</param>
    /// <param name="ino">Inode number.</param>
    /// <param name="type">Type, or unknown.</param>
    /// <param name="nextOffset">What the kernel sends to continue behind this entry; never 0.</param>
    /// <returns>False when it does not fit: it is the first of the next listing.</returns>
    public bool TryAdd(ReadOnlySpan<byte> name, ulong ino, FileType type, ulong nextOffset)
    {
        if (!TryTake(name.Length, out Span<byte> record))
            return false;
        if (IsPlus)
        {
            record[..EntryOut].Clear();
            record = record[EntryOut..];
        }
        WriteDirent(record, name, ino, type, nextOffset);
        return true;
    }

    /// <summary>Add an entry with its node to a plus listing; it counts one lookup.</summary>
    /// <param name="name">1 to 255 bytes.</param>
    /// <param name="entry">The node; its type is taken from the mode.</param>
    /// <param name="nextOffset">What the kernel sends to continue behind this entry; never 0.</param>
    /// <returns>False when it does not fit: nothing is counted, it is the first of the next listing.</returns>
    public bool TryAdd(ReadOnlySpan<byte> name, in EntryReply entry, ulong nextOffset)
    {
        if (!IsPlus)
            throw new InvalidOperationException("A plain listing (READDIR) takes no nodes.");
        if (!TryTake(name.Length, out Span<byte> record))
            return false;
        MemoryMarshal.Write(record, in entry);
        FuseAttr attr = entry.Attr;
        WriteDirent(record[EntryOut..], name, attr.Ino, (FileType)((attr.Mode >> 12) & 15), nextOffset);
        return true;
    }

    private static void WriteDirent(Span<byte> record, ReadOnlySpan<byte> name, ulong ino, FileType type, ulong nextOffset)
    {
        MemoryMarshal.Write(record, in ino);
        MemoryMarshal.Write(record[8..], in nextOffset);
        MemoryMarshal.Write(record[16..], name.Length);
        MemoryMarshal.Write(record[20..], (uint)type);
        name.CopyTo(record[DirentHeader..]);
        record[(DirentHeader + name.Length)..].Clear();
    }

    private int RecordSize(int nameLength) => ((IsPlus ? EntryOut : 0) + DirentHeader + nameLength + 7) & ~7;

    private bool TryTake(int nameLength, out Span<byte> record)
    {
        ArgumentOutOfRangeException.ThrowIfZero(nameLength);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(nameLength, 255);
        int size = RecordSize(nameLength);
        if (size > _buffer.Length - Length)
        {
            record = default;
            return false;
        }
        record = _buffer.Span.Slice(Length, size);
        Length += size;
        Count++;
        return true;
    }
}
