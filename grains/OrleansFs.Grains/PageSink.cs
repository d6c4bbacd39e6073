using System.Buffers;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>Gathers directory entries into a <see cref="DirectoryPage"/>.</summary>
internal sealed class PageSink(int maxEntries, bool withAttributes) : IDirectorySink
{
    private readonly List<DirectoryRow> _rows = [];
    private readonly List<Attributes> _attributes = [];
    private readonly ArrayBufferWriter<byte> _names = new();
    private bool _isFull;

    public bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes)
    {
        if (_rows.Count == maxEntries)
        {
            _isFull = true;
            return false;
        }
        _rows.Add(new DirectoryRow((byte)name.Length, inode, type, cookie));
        _names.Write(name);
        if (withAttributes)
            _attributes.Add(attributes ?? default);
        return true;
    }

    public DirectoryPage ToPage() => new()
    {
        Rows = [.. _rows],
        Names = _names.WrittenSpan.ToArray(),
        Attributes = withAttributes ? [.. _attributes] : null,
        IsLast = !_isFull,
    };
}
