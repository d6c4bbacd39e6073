using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>
/// The files of deleted blocks, kept to be written anew (as PostgreSQL recycles the segments of its log): to take a deleted file's inode and clusters away and to find as many for the next block costs the disk's file
/// system ten times what it takes to write over them. Thread-safe.
/// </summary>
/// <remarks>
/// Invariants:
/// 1. A file is kept in the folder <c>free</c>, under a number, from when it lost its block's name to when it gets another's. What an earlier run left there is deleted at the start.
/// 2. All kept files have one length, the greatest that was met: that of a block that fills S bytes and does not shrink. So each is written over whole, and none is cut or lengthened.
/// 3. No other name leads to a kept file.
/// 4. What they take on the disk is bounded by <see cref="BlockLimits.RecycledBytes"/> and by <see cref="Room"/>, which others may lessen until the next <see cref="Trim"/>; files that nobody wanted for <see cref="BlockLimits.RecycledKept"/> are deleted.
/// 5. The lock is held for memory only. <see cref="Room"/> is asked outside it. Who has them dropped holds another for as long as that takes: who finds the disk full meanwhile waits, and finds the room.
/// They are given out in the order of their inodes, which is that in which they were made: blocks that are written together lie together, as those did that were there before.
/// </remarks>
internal sealed class RecycledFiles : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Lock _dropping = new();
    private readonly int _root;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly SortedSet<(ulong Inode, ulong Number)> _files = [];
    private (ulong Inode, ulong Number) _last;
    private ulong _number;
    private long _length;
    private long _each;
    private long _used;
    private long _leaving;
    private bool _ended;

    /// <param name="root">Descriptor of the folder <c>blocks</c>.</param>
    /// <param name="time">For how long they are kept.</param>
    public RecycledFiles(int root, TimeProvider time)
    {
        _root = root;
        _time = time;
        _used = time.GetTimestamp();
        _timer = time.CreateTimer(_ => TrimIdle(), null, BlockLimits.RecycledKept / 4, BlockLimits.RecycledKept / 4);
    }

    /// <summary>What they may take on the disk now, bytes; null where nobody else has a claim on it.</summary>
    public Func<long>? Room { get; set; }

    /// <summary>Files that were taken for it so far.</summary>
    public ulong Taken => Volatile.Read(ref _number);

    /// <summary>What they take on the disk, bytes, with those that are being deleted.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
                return (_files.Count * _each) + _leaving;
        }
    }

    /// <summary>Takes the name away from a block's file, and keeps the file.</summary>
    /// <returns>False where it is not wanted, or cannot be kept: it is as it was.</returns>
    public bool TryKeep(ReadOnlySpan<byte> name)
    {
        if (LinuxFile.Stat(_root, name, out var file) != Errno.None || !file.IsRegular || file.Links != 1 || file.Length < BlockLimits.EarlyWriteBack || file.DiskBytes < file.Length)
            return false;
        long room = Math.Min(BlockLimits.RecycledBytes, Room?.Invoke() ?? long.MaxValue);
        if (file.Length > Volatile.Read(ref _length))
            Drop(0);
        ulong number;
        lock (_lock)
        {
            if (_ended || file.Length < _length || (file.Length > _length && _files.Count > 0) || (_files.Count + 1) * file.DiskBytes > room)
                return false;
            if (file.Length > _length)
                (_length, _each) = (file.Length, file.DiskBytes);
            number = _number++;
        }
        if (LinuxFile.Rename(_root, name, BlockNames.Recycled(number, stackalloc byte[BlockNames.MaxPath])) != Errno.None)
            return false;
        lock (_lock)
        {
            if (!_ended && file.Length == _length)
            {
                _files.Add((file.Inode, number));
                _used = _time.GetTimestamp();
                return true;
            }
        }
        // Meanwhile they are of another length, or none are kept: then it is deleted, as it was to be.
        Delete([number]);
        return true;
    }

    /// <summary>Gives a file out, to be written over from its start to its end and named.</summary>
    /// <param name="length">Bytes that it is to have.</param>
    /// <param name="flags">To open it with.</param>
    /// <param name="path">Room for its name.</param>
    /// <param name="name">The name that it has for now.</param>
    /// <returns>Its descriptor; negative where there is none.</returns>
    public int TryTake(int length, int flags, Span<byte> path, out ReadOnlySpan<byte> name)
    {
        name = default;
        if (Volatile.Read(ref _length) == 0)
            return -1;
        if (Volatile.Read(ref _length) != length)
        {
            // Others take their room.
            Trim();
            return -1;
        }
        while (true)
        {
            lock (_lock)
            {
                if (_files.Count == 0 || _length != length)
                    return -1;
                // Not asked for its count, which it would have to count. No inode has the number 0.
                var next = _files.GetViewBetween(_last, (ulong.MaxValue, ulong.MaxValue)).Min;
                if (next == default)
                    next = _files.Min;
                _files.Remove(next);
                _last = next;
                _used = _time.GetTimestamp();
                name = BlockNames.Recycled(next.Number, path);
            }
            int fd = LinuxFile.Open(_root, name, flags | LinuxFile.O_NOFOLLOW);
            if (fd >= 0)
                return fd;
            bool isRefused = LinuxFile.LastError == Errno.EINVAL;
            _ = LinuxFile.Unlink(_root, name);
            // Not with these flags, and so none of the others. Else somebody has deleted it: the next one.
            if (isRefused)
                return -1;
        }
    }

    /// <summary>Deletes those that have no room any more: what others have taken since they were kept is not seen otherwise while none comes and none is wanted.</summary>
    public void Trim()
    {
        long room = Room?.Invoke() ?? long.MaxValue;
        if (Bytes > room)
            Drop(room);
    }

    /// <summary>Deletes all of them: the disk has no room to spare. Waits for who is doing so.</summary>
    public void Clear() => Drop(0);

    public void Dispose()
    {
        _timer.Dispose();
        lock (_lock)
            _ended = true;
        Drop(0);
    }

    private void TrimIdle()
    {
        bool isIdle;
        lock (_lock)
            isIdle = !_ended && _time.GetElapsedTime(_used) >= BlockLimits.RecycledKept;
        if (isIdle)
            Drop(0);
    }

    private void Drop(long bytes)
    {
        lock (_dropping)
        {
            List<ulong> numbers;
            lock (_lock)
            {
                long before = _files.Count * _each;
                numbers = TakeDownTo(bytes);
                _leaving = before - (_files.Count * _each);
            }
            Delete(numbers);
            lock (_lock)
                _leaving = 0;
        }
    }

    /// <summary>Those that are to be deleted, for the caller to do it outside the lock.</summary>
    private List<ulong> TakeDownTo(long bytes)
    {
        var numbers = new List<ulong>();
        while (_files.Count > 0 && _files.Count * _each > bytes)
        {
            var last = _files.Max;
            _files.Remove(last);
            numbers.Add(last.Number);
        }
        if (_files.Count == 0)
            (_length, _each) = (0, 0);
        return numbers;
    }

    private void Delete(List<ulong> numbers)
    {
        Span<byte> path = stackalloc byte[BlockNames.MaxPath];
        // One that cannot be deleted is deleted at the next start.
        foreach (ulong number in numbers)
            _ = LinuxFile.Unlink(_root, BlockNames.Recycled(number, path));
    }
}
