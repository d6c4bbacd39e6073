namespace OrleansFs.MemoryVolume;

/// <summary>A file's content: pages that exist, and holes between them.</summary>
internal sealed class SparseBytes
{
    private const int PageSize = 4096;
    private readonly SortedList<long, byte[]> _pages = [];

    /// <summary>Bytes of the pages that exist.</summary>
    public long Allocated => (long)_pages.Count * PageSize;

    public void Read(long offset, Span<byte> destination)
    {
        while (!destination.IsEmpty)
        {
            int within = (int)(offset % PageSize);
            int length = Math.Min(PageSize - within, destination.Length);
            if (_pages.TryGetValue(offset / PageSize, out byte[]? page))
                page.AsSpan(within, length).CopyTo(destination);
            else
                destination[..length].Clear();
            destination = destination[length..];
            offset += length;
        }
    }

    public void Write(long offset, ReadOnlySpan<byte> source)
    {
        while (!source.IsEmpty)
        {
            int within = (int)(offset % PageSize);
            int length = Math.Min(PageSize - within, source.Length);
            source[..length].CopyTo(Page(offset / PageSize).AsSpan(within));
            source = source[length..];
            offset += length;
        }
    }

    /// <summary>Pages of a range exist from now on, and read as they did.</summary>
    public void Allocate(long offset, long length)
    {
        for (long page = offset / PageSize; page <= (offset + length - 1) / PageSize; page++)
            Page(page);
    }

    /// <summary>The range reads as zero; pages wholly in it go.</summary>
    public void Punch(long offset, long end)
    {
        for (int i = IndexFrom(offset / PageSize); i < _pages.Count && _pages.GetKeyAtIndex(i) * PageSize < end;)
        {
            long start = _pages.GetKeyAtIndex(i) * PageSize;
            long from = Math.Max(offset, start);
            long to = Math.Min(end, start + PageSize);
            if (from == start && to == start + PageSize)
            {
                _pages.RemoveAt(i);
                continue;
            }
            _pages.GetValueAtIndex(i).AsSpan((int)(from - start), (int)(to - from)).Clear();
            i++;
        }
    }

    /// <summary>The first byte at or after an offset that is in a page; null where there is none.</summary>
    public long? NextData(long offset)
    {
        int index = IndexFrom(offset / PageSize);
        return index < _pages.Count ? Math.Max(offset, _pages.GetKeyAtIndex(index) * PageSize) : null;
    }

    /// <summary>The first byte at or after an offset that is in no page.</summary>
    public long NextHole(long offset)
    {
        int index = IndexFrom(offset / PageSize);
        for (long page = offset / PageSize; ; page++, index++)
        {
            if (index >= _pages.Count || _pages.GetKeyAtIndex(index) != page)
                return Math.Max(offset, page * PageSize);
        }
    }

    private byte[] Page(long number)
    {
        if (!_pages.TryGetValue(number, out byte[]? page))
            _pages.Add(number, page = new byte[PageSize]);
        return page;
    }

    /// <summary>Index of the first page with at least this number.</summary>
    private int IndexFrom(long number)
    {
        int low = 0;
        int high = _pages.Count;
        while (low < high)
        {
            int middle = (low + high) / 2;
            if (_pages.GetKeyAtIndex(middle) < number)
                low = middle + 1;
            else
                high = middle;
        }
        return low;
    }
}
