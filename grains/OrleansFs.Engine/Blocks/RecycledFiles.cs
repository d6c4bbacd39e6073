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
/// 4. What they take on the disk is bounded by <see cref="BlockLimits.RecycledBytes"/> and by <see cref="Room"/>; files that nobody wanted for <see cref="BlockLimits.RecycledKept"/> are deleted.
/// They are given out in the order of their inodes, which is that in which they were made: blocks that are written together lie together, as those did that were there before.
/// </remarks>
internal sealed class RecycledFiles : IDisposable
{
    private readonly Lock _lock = new();
    private readonly int _root;
    private readonly TimeProvider _time;
    private readonly ITimer _timer;
    private readonly SortedSet<(ulong Inode, ulong Number)> _files = [];
    private (ulong Inode, ulong Number) _last;
    private ulong _number;
    private long _length;
    private long _each;
    private long _used;
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

    /// <summary>What they take on the disk, bytes.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
                return _files.Count * _each;
        }
    }

    /// <summary>Takes the name away from a block's file, and keeps the file.</summary>
    /// <returns>False where it is not wanted, or cannot be kept: it is as it was.</returns>
    public bool TryKeep(ReadOnlySpan<byte> name)
    {
        if (LinuxFile.Stat(_root, name, out var file) != Errno.None || !file.IsRegular || file.Links != 1 || file.Length < BlockLimits.EarlyWriteBack || file.DiskBytes < file.Length)
            return false;
        long room = Math.Min(BlockLimits.RecycledBytes, Room?.Invoke() ?? long.MaxValue);
        lock (_lock)
        {
            if (_ended || file.Length < _length)
                return false;
            if (file.Length > _length)
            {
                DeleteDownTo(0);
                (_length, _each) = (file.Length, file.DiskBytes);
            }
            if ((_files.Count + 1) * _each > room)
                return false;
            ulong number = _number++;
            if (LinuxFile.Rename(_root, name, BlockNames.Recycled(number, stackalloc byte[BlockNames.MaxPath])) != Errno.None)
                return false;
            _files.Add((file.Inode, number));
            _used = _time.GetTimestamp();
            return true;
        }
    }

    /// <summary>Gives a file out, to be written over from its start to its end and named.</summary>
    /// <param name="length">Bytes that it is to have.</param>
    /// <param name="path">Room for its name.</param>
    /// <param name="name">The name that it has for now.</param>
    /// <returns>Its descriptor; negative where there is none.</returns>
    public int TryTake(int length, Span<byte> path, out ReadOnlySpan<byte> name)
    {
        name = default;
        if (Volatile.Read(ref _length) == 0)
            return -1;
        // Others take their room. It is asked for outside the lock: who knows it may be about to call Clear.
        bool fits = Volatile.Read(ref _length) == length;
        long room = fits ? long.MaxValue : Room?.Invoke() ?? long.MaxValue;
        while (true)
        {
            lock (_lock)
            {
                DeleteDownTo(room);
                if (!fits || _files.Count == 0 || _length != length)
                    return -1;
                var next = _files.GetViewBetween(_last, (ulong.MaxValue, ulong.MaxValue)) is { Count: > 0 } above ? above.Min : _files.Min;
                _files.Remove(next);
                _last = next;
                _used = _time.GetTimestamp();
                name = BlockNames.Recycled(next.Number, path);
            }
            int fd = LinuxFile.Open(_root, name, LinuxFile.O_WRONLY | LinuxFile.O_NOFOLLOW);
            if (fd >= 0)
                return fd;
            // Somebody has deleted it: the next one.
            _ = LinuxFile.Unlink(_root, name);
        }
    }

    /// <summary>Deletes all of them: the disk has no room to spare.</summary>
    /// <returns>False where there were none.</returns>
    public bool Clear()
    {
        if (Volatile.Read(ref _length) == 0)
            return false;
        lock (_lock)
        {
            bool any = _files.Count > 0;
            DeleteDownTo(0);
            return any;
        }
    }

    public void Dispose()
    {
        _timer.Dispose();
        lock (_lock)
        {
            _ended = true;
            DeleteDownTo(0);
        }
    }

    private void TrimIdle()
    {
        lock (_lock)
        {
            if (!_ended && _files.Count > 0 && _time.GetElapsedTime(_used) >= BlockLimits.RecycledKept)
                DeleteDownTo(0);
        }
    }

    private void DeleteDownTo(long bytes)
    {
        Span<byte> path = stackalloc byte[BlockNames.MaxPath];
        while (_files.Count > 0 && _files.Count * _each > bytes)
        {
            var last = _files.Max;
            _files.Remove(last);
            // One that cannot be deleted is deleted at the next start.
            _ = LinuxFile.Unlink(_root, BlockNames.Recycled(last.Number, path));
        }
        if (_files.Count == 0)
            (_length, _each) = (0, 0);
    }
}
