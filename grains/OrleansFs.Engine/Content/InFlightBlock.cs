namespace OrleansFs.Engine.Content;

/// <summary>
/// Content of one block that is newer than what is hashed: extents of bytes, kept in pages. What lies between the extents is not known here and is
/// read from under it only when it is needed.
/// </summary>
/// <remarks>
/// Invariants: the extents are sorted, not empty, and neither overlap nor touch; every page that an extent reaches into is present, and no other.
/// Guarded by the gate of its file until it is frozen; a frozen one is read by one seal worker and by readers, and changed by nobody.
/// </remarks>
/// <param name="pool">Has the pages.</param>
/// <param name="blockSize">S, bytes.</param>
/// <param name="under">Bytes of the block that are known under it, and will be part of what it becomes.</param>
internal sealed class InFlightBlock(PagePool pool, int blockSize, int under = 0)
{
    private readonly int _pagesUnder = (under + PagePool.PageSize - 1) / PagePool.PageSize;

    private readonly Dictionary<int, int> _pages = [];
    private readonly List<Extent> _extents = new(1);

    /// <summary>The known ranges, in order.</summary>
    public IReadOnlyList<Extent> Extents => _extents;

    public int PageCount => _pages.Count;

    /// <summary>One past the last known byte; 0 when nothing is known.</summary>
    public int End => _extents.Count == 0 ? 0 : _extents[^1].End;

    public bool IsComplete => _extents.Count == 1 && _extents[0].Start == 0 && _extents[0].End == blockSize;

    /// <summary>How many new pages a write of this range would take.</summary>
    public int MissingPages(int offset, int length)
    {
        int missing = 0;
        for (int page = offset / PagePool.PageSize; page <= (offset + length - 1) / PagePool.PageSize; page++)
        {
            if (!_pages.ContainsKey(page))
                missing++;
        }
        return missing;
    }

    /// <summary>Writes bytes. The pages it lacks are taken from <paramref name="spare"/>, from its end.</summary>
    /// <returns>How many bytes became known that were not.</returns>
    public int Write(int offset, ReadOnlySpan<byte> data, List<int> spare)
    {
        int done = 0;
        while (done < data.Length)
        {
            var target = Page(offset + done, spare);
            int n = Math.Min(target.Length, data.Length - done);
            data.Slice(done, n).CopyTo(target);
            done += n;
        }
        return Add(new Extent(offset, offset + data.Length));
    }

    /// <summary>Writes zeros, as <see cref="Write"/> does.</summary>
    public int Clear(int offset, int length, List<int> spare)
    {
        int done = 0;
        while (done < length)
        {
            var target = Page(offset + done, spare);
            int n = Math.Min(target.Length, length - done);
            target[..n].Clear();
            done += n;
        }
        return Add(new Extent(offset, offset + length));
    }

    /// <summary>Forgets everything at or past a length.</summary>
    public void Truncate(int length)
    {
        for (int i = _extents.Count - 1; i >= 0 && _extents[i].End > length; i--)
        {
            if (_extents[i].Start >= length)
                _extents.RemoveAt(i);
            else
                _extents[i] = new Extent(_extents[i].Start, length);
        }
        int kept = (length + PagePool.PageSize - 1) / PagePool.PageSize;
        int[] gone = [.. _pages.Keys.Where(p => p >= kept || !Reaches(p))];
        long unwritten = Unwritten;
        foreach (int page in gone)
        {
            pool.Return([_pages[page]]);
            _pages.Remove(page);
        }
        pool.AddUnwritten(Unwritten - unwritten);
        if (gone.Length > 0 && _pages.Count == 0)
            pool.LeaveBlock();
    }

    /// <summary>Copies what is known of a range into a buffer that stands for the range.</summary>
    public void CopyTo(int offset, Span<byte> destination)
    {
        foreach (var extent in _extents)
        {
            int from = Math.Max(extent.Start, offset);
            int to = Math.Min(extent.End, offset + destination.Length);
            while (from < to)
            {
                int within = from % PagePool.PageSize;
                int n = Math.Min(PagePool.PageSize - within, to - from);
                pool[_pages[from / PagePool.PageSize]].Slice(within, n).CopyTo(destination[(from - offset)..]);
                from += n;
            }
        }
    }

    /// <summary>The bytes of the block up to a length, all of which are known, where they lie: false where its pages are not side by side. As long as the pages are this block's.</summary>
    public bool TryGetRun(int length, out ReadOnlySpan<byte> content)
    {
        content = default;
        int count = (length + PagePool.PageSize - 1) / PagePool.PageSize;
        int first = _pages[0];
        for (int page = 1; page < count; page++)
        {
            if (_pages[page] != first + page)
                return false;
        }
        content = pool.Run(first, count)[..length];
        return true;
    }

    /// <summary>Whether every byte of a range is known.</summary>
    public bool Covers(int start, int end)
    {
        if (start >= end)
            return true;
        foreach (var extent in _extents)
        {
            if (extent.Start <= start && extent.End >= end)
                return true;
        }
        return false;
    }

    /// <summary>One past the last byte that is known without a gap from a place on; 0 where that byte itself is not known.</summary>
    public int KnownUpTo(int at)
    {
        foreach (var extent in _extents)
        {
            if (extent.Start <= at && at < extent.End)
                return extent.End;
        }
        return 0;
    }

    /// <summary>Gives all pages back. Nothing is known any more.</summary>
    public void Release()
    {
        if (_pages.Count > 0)
        {
            pool.AddUnwritten(-Unwritten);
            pool.Return([.. _pages.Values]);
            pool.LeaveBlock();
        }
        _pages.Clear();
        _extents.Clear();
    }

    private long Unwritten => _pages.Count == 0 ? 0 : Math.Max(0, _pagesUnder - _pages.Count) * (long)PagePool.PageSize;

    private bool Reaches(int page) => _extents.Exists(e => e.Start < (page + 1) * PagePool.PageSize && e.End > page * PagePool.PageSize);

    private Span<byte> Page(int offset, List<int> spare)
    {
        int index = offset / PagePool.PageSize;
        if (!_pages.TryGetValue(index, out int page))
        {
            page = spare[^1];
            spare.RemoveAt(spare.Count - 1);
            long unwritten = Unwritten;
            _pages.Add(index, page);
            pool.AddUnwritten(Unwritten - unwritten);
            if (_pages.Count == 1)
                pool.EnterBlock();
        }
        return pool[page][(offset % PagePool.PageSize)..];
    }

    private int Add(Extent added)
    {
        int first = _extents.FindIndex(e => e.End >= added.Start);
        if (first < 0)
        {
            _extents.Add(added);
            return added.Length;
        }
        int last = first;
        int known = 0;
        var merged = added;
        while (last < _extents.Count && _extents[last].Start <= added.End)
        {
            known += _extents[last].Length;
            merged = new Extent(Math.Min(merged.Start, _extents[last].Start), Math.Max(merged.End, _extents[last].End));
            last++;
        }
        _extents.RemoveRange(first, last - first);
        _extents.Insert(first, merged);
        return merged.Length - known;
    }
}

/// <summary>A range of bytes within a block.</summary>
/// <param name="Start">First byte.</param>
/// <param name="End">One past the last byte.</param>
internal readonly record struct Extent(int Start, int End)
{
    public int Length => End - Start;
}
