namespace OrleansFs.Fault.Tests.Device;

/// <summary>The bytes of a disk, in memory; what was never written is zero and takes no room. Not thread-safe.</summary>
internal sealed class SparseImage(long length)
{
    private const int ChunkSize = 64 << 10;

    private readonly Dictionary<long, byte[]> _chunks = [];

    public long Length => length;

    public void Read(long offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int within = (int)(offset % ChunkSize);
            int n = Math.Min(ChunkSize - within, destination.Length);
            if (_chunks.TryGetValue(offset / ChunkSize, out byte[]? chunk))
                chunk.AsSpan(within, n).CopyTo(destination);
            else
                destination[..n].Clear();
            destination = destination[n..];
            offset += n;
        }
    }

    public void Write(long offset, ReadOnlySpan<byte> data)
    {
        while (!data.IsEmpty)
        {
            int within = (int)(offset % ChunkSize);
            int n = Math.Min(ChunkSize - within, data.Length);
            data[..n].CopyTo(Chunk(offset / ChunkSize).AsSpan(within));
            data = data[n..];
            offset += n;
        }
    }

    public void Clear(long offset, long count)
    {
        while (count > 0)
        {
            int within = (int)(offset % ChunkSize);
            int n = (int)Math.Min(ChunkSize - within, count);
            if (n == ChunkSize)
                _chunks.Remove(offset / ChunkSize);
            else if (_chunks.TryGetValue(offset / ChunkSize, out byte[]? chunk))
                chunk.AsSpan(within, n).Clear();
            offset += n;
            count -= n;
        }
    }

    public SparseImage Clone()
    {
        var clone = new SparseImage(length);
        foreach (var (index, chunk) in _chunks)
            clone._chunks.Add(index, [.. chunk]);
        return clone;
    }

    /// <summary>Writes the image into a sparse file.</summary>
    public void SaveTo(string path)
    {
        using var file = File.OpenHandle(path, FileMode.Create, FileAccess.Write);
        RandomAccess.SetLength(file, length);
        foreach (var (index, chunk) in _chunks)
            RandomAccess.Write(file, chunk, index * ChunkSize);
    }

    private byte[] Chunk(long index)
    {
        if (!_chunks.TryGetValue(index, out byte[]? chunk))
            _chunks.Add(index, chunk = new byte[ChunkSize]);
        return chunk;
    }
}
