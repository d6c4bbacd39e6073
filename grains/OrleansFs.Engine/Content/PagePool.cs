using System.Runtime.InteropServices;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Native;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

/// <summary>
/// The memory of in-flight blocks: pages of 4 KiB from one mapping made at the start, so that the budget is a fact and not a wish.
/// </summary>
/// <remarks>
/// Invariants:
/// 1. A page belongs to the pool or to exactly one <see cref="InFlightBlock"/>.
/// 2. No more than <see cref="Capacity"/> pages are ever out. Who finds none waits in <see cref="WaitForRoomAsync"/>; the waiting ends when pages return, which the
///    seal workers see to without needing a page themselves.
/// 3. The mapping takes real memory only where a page has been used, and gives it back when the pool is idle: some at once, the rest after a while.
/// </remarks>
internal sealed unsafe class PagePool : IDisposable
{
    /// <summary>Bytes of a page: what the kernel writes back at a time.</summary>
    public const int PageSize = 4096;

    private readonly object _lock = new();
    private readonly int[] _free;
    private readonly int _kept;
    private byte* _base;
    private int _freeCount;
    private int _untouched;
    private TaskCompletionSource? _room;
    private bool _used;
    private TimeSpan _idle;
    private int _blocks;
    private long _returned;
    private long _unwritten;

    /// <param name="bytes">The budget; at least one page is kept.</param>
    public PagePool(long bytes)
    {
        Capacity = checked((int)Math.Max(1, bytes / PageSize));
        _free = new int[Capacity];
        _kept = Capacity / 100 * Limits.KeptPagesPercent;
        _base = (byte*)Memory.Map((nuint)Capacity * PageSize);
        Memory.PreferHugePages(_base, (nuint)Capacity * PageSize);
    }

    public int Capacity { get; }

    /// <summary>Pages that in-flight blocks have now.</summary>
    public int InUse
    {
        get
        {
            lock (_lock)
                return _untouched - _freeCount;
        }
    }

    public long BytesInUse => (long)InUse * PageSize;

    /// <summary>In-flight blocks that have pages now.</summary>
    public int Blocks => Volatile.Read(ref _blocks);

    /// <summary>What in-flight blocks take beside their pages once they are sealed, bytes: what is stored under those that are written in part.</summary>
    public long Unwritten => Interlocked.Read(ref _unwritten);

    /// <summary>Takes as many pages as there are places, or none. They descend, as far as they lie side by side: who takes them from the end has them in the order of their memory (<see cref="Run"/>).</summary>
    /// <returns>False when so many are not to be had now.</returns>
    public bool TryRent(Span<int> pages)
    {
        lock (_lock)
        {
            if (Capacity - _untouched + _freeCount < pages.Length)
                return false;
            _used = true;
            int known = Math.Min(_freeCount, pages.Length);
            for (int i = 0; i < known; i++)
                pages[i] = _free[--_freeCount];
            int untouched = pages.Length - known;
            for (int i = 0; i < untouched; i++)
                pages[known + i] = _untouched + untouched - 1 - i;
            _untouched += untouched;
            return true;
        }
    }

    public void Return(ReadOnlySpan<int> pages)
    {
        if (pages.IsEmpty)
            return;
        TaskCompletionSource? room;
        lock (_lock)
        {
            foreach (int page in pages)
                _free[_freeCount++] = page;
            _returned += pages.Length;
            if (_freeCount == _untouched && _untouched > _kept)
                GiveBack(_kept);
            room = _room;
            _room = null;
        }
        room?.TrySetResult();
    }

    /// <summary>Pages that have been returned so far.</summary>
    public long Returned
    {
        get
        {
            lock (_lock)
                return _returned;
        }
    }

    /// <summary>An in-flight block has its first page.</summary>
    public void EnterBlock() => Interlocked.Increment(ref _blocks);

    /// <summary>More of what lies under an in-flight block counts, or less.</summary>
    public void AddUnwritten(long bytes) => Interlocked.Add(ref _unwritten, bytes);

    /// <summary>It has none any more.</summary>
    public void LeaveBlock() => Interlocked.Decrement(ref _blocks);

    /// <summary>Waits until pages have been returned since a failed <see cref="TryRent"/>.</summary>
    /// <exception cref="BlockStoreException">They cannot be: see <see cref="Fail"/>.</exception>
    public Task WaitForRoomAsync(int pages, CancellationToken cancellation)
    {
        lock (_lock)
        {
            if (Capacity - _untouched + _freeCount >= pages)
                return Task.CompletedTask;
            _room ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
            return _room.Task.WaitAsync(cancellation);
        }
    }

    /// <summary>Nothing can be stored now, and so no page will return: who waits is told, and not left waiting for as long as that lasts.</summary>
    public void Fail(Errno error)
    {
        TaskCompletionSource? room;
        lock (_lock)
        {
            room = _room;
            _room = null;
        }
        if (room is null)
            return;
        room.TrySetException(new BlockStoreException(error, "in-flight memory is full, and nothing of it can be stored"));
        // Each who waits may have been cancelled meanwhile: then nobody else looks.
        _ = room.Task.Exception;
    }

    /// <summary>The bytes of a page that the caller owns.</summary>
    public Span<byte> this[int page] => new(_base + (long)page * PageSize, PageSize);

    /// <summary>The bytes of pages side by side that the caller owns.</summary>
    public ReadOnlySpan<byte> Run(int first, int pages) => new(_base + (long)first * PageSize, pages * PageSize);

    public void Dispose()
    {
        if (_base is not null)
            Memory.Unmap(_base, (nuint)Capacity * PageSize);
        _base = null;
    }

    /// <summary>Gives the memory of all pages back to the system when none has been in use for a while.</summary>
    /// <param name="elapsed">Since the call before.</param>
    public void Trim(TimeSpan elapsed)
    {
        lock (_lock)
        {
            _idle = _used || _freeCount < _untouched ? TimeSpan.Zero : _idle + elapsed;
            _used = false;
            if (_idle < Limits.IdlePagesKept || _untouched == 0)
                return;
            GiveBack(0);
            _idle = TimeSpan.Zero;
        }
    }

    /// <summary>Keeps the memory of the first so many pages. Call when all pages are free.</summary>
    private void GiveBack(int kept)
    {
        Memory.Discard(_base + (long)kept * PageSize, (nuint)(_untouched - kept) * PageSize);
        for (int i = 0; i < kept; i++)
            _free[i] = i;
        _freeCount = kept;
        _untouched = kept;
    }
}
