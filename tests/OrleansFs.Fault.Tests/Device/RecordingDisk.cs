namespace OrleansFs.Fault.Tests.Device;

/// <summary>What a disk promises of the writes that no flush has followed.</summary>
internal sealed record LossModel
{
    /// <summary>Unit that is written whole or not at all, bytes: a sector.</summary>
    public int Sector { get; init; } = 512;

    /// <summary>Chance that a write is kept in part, some of its sectors new and some old; 0 to 1.</summary>
    public double Torn { get; init; } = 0.1;

    /// <summary>A disk that lies: flushes are answered and mean nothing. To show that the tests would see it.</summary>
    public bool IgnoresFlushes { get; init; }
}

/// <summary>
/// A disk with a volatile cache that keeps a record of all it was asked, so that a loss of power can be played at any moment of the past, in many ways.
/// </summary>
/// <remarks>
/// <para>Positions number the writes and flushes in the order in which they were answered. A write is safe from the next flush on. Of those that no flush has followed, a loss of power keeps any
/// subset, in whole sectors; of two to the same sector the later one wins where both are kept. That is what the block layer of Linux assumes of a disk with a write cache
/// (Documentation/block/writeback_cache_control.rst), and the way in which dm-log-writes and CrashMonkey replay it.</para>
/// <para>The position is shown in a <see cref="Clock"/> before the request is answered: who has seen a sync return reads a position there that covers it.</para>
/// </remarks>
/// <param name="length">Bytes.</param>
/// <param name="clock">Where the position is shown.</param>
internal sealed class RecordingDisk(long length, Clock clock)
{
    private readonly Lock _gate = new();
    private readonly SparseImage _current = new(length);
    private readonly List<Entry> _log = [];
    private SparseImage? _start;
    private long _logBytes;
    private long _fullAt;
    private TaskCompletionSource? _full;

    public long Length => length;

    /// <summary>Writes and flushes since <see cref="StartRecording"/>.</summary>
    public long Position
    {
        get
        {
            lock (_gate)
                return _log.Count;
        }
    }

    /// <summary>Completes when so many bytes have been recorded, or after some time.</summary>
    public async Task RecordedAsync(long bytes, TimeSpan time, CancellationToken cancellation)
    {
        TaskCompletionSource full;
        lock (_gate)
        {
            _fullAt = bytes;
            full = _full = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        }
        await Task.WhenAny(full.Task, Task.Delay(time, cancellation));
        cancellation.ThrowIfCancellationRequested();
    }

    /// <summary>What the disk refuses from now on.</summary>
    public DiskFault Fault { get; set; }

    /// <summary>Everything so far is on the disk for good, and what comes is recorded.</summary>
    public void StartRecording()
    {
        lock (_gate)
        {
            _start = _current.Clone();
            _log.Clear();
            _logBytes = 0;
            clock.Set(0);
        }
    }

    public bool Read(long offset, Span<byte> destination)
    {
        if ((Fault & DiskFault.Reads) != 0)
            return false;
        lock (_gate)
            _current.Read(offset, destination);
        return true;
    }

    public bool Write(long offset, ReadOnlySpan<byte> data)
    {
        if ((Fault & DiskFault.Writes) != 0)
            return false;
        lock (_gate)
        {
            _current.Write(offset, data);
            Append(new Entry(offset, data.Length, _start is null ? null : data.ToArray()));
        }
        return true;
    }

    /// <summary>A discard, or a write of zeros.</summary>
    public bool Clear(long offset, long count)
    {
        if ((Fault & DiskFault.Writes) != 0)
            return false;
        lock (_gate)
        {
            _current.Clear(offset, count);
            Append(new Entry(offset, count, null));
        }
        return true;
    }

    public bool Flush()
    {
        if ((Fault & DiskFault.Flushes) != 0)
            return false;
        lock (_gate)
            Append(Entry.Flush);
        return true;
    }

    /// <summary>What the disk holds after the power went at a position: all that was flushed before it, and any part of the rest.</summary>
    public CutImage Cut(long position, LossModel model, Random random)
    {
        List<Entry> log;
        SparseImage image;
        lock (_gate)
        {
            log = _log.GetRange(0, (int)Math.Min(position, _log.Count));
            image = (_start ?? throw new InvalidOperationException("nothing is recorded")).Clone();
        }
        int safe = model.IgnoresFlushes ? 0 : log.FindLastIndex(e => e.IsFlush) + 1;
        // A lying disk keeps its oldest writes: it loses only what a cache of its size would still hold.
        if (model.IgnoresFlushes)
            safe = Math.Max(0, log.Count - random.Next(1, 2000));
        for (int i = 0; i < safe; i++)
            log[i].ApplyTo(image);
        // How much of its cache a disk has written by itself differs from one cut to the next: from nothing to all.
        double kept = random.Next(5) switch { 0 => 0, 1 => 1, _ => random.NextDouble() };
        int lost = 0;
        for (int i = safe; i < log.Count; i++)
        {
            if (log[i].IsFlush)
                continue;
            if (random.NextDouble() < model.Torn)
                log[i].ApplyTornTo(image, model.Sector, random);
            else if (random.NextDouble() < kept)
                log[i].ApplyTo(image);
            else
                lost++;
        }
        return new CutImage(image, log.Count - safe, lost);
    }

    /// <summary>A position just before a flush, with writes in the disk's cache: where the most can go wrong. Any position where no such was recorded.</summary>
    public long PositionAtRisk(long from, Random random)
    {
        lock (_gate)
        {
            int any = (int)random.NextInt64(from, _log.Count + 1);
            bool AtRisk(int i) => i > 0 && _log[i].IsFlush && !_log[i - 1].IsFlush;
            for (int i = any; i < _log.Count; i++)
            {
                if (AtRisk(i))
                    return i;
            }
            for (int i = any - 1; i > from; i--)
            {
                if (AtRisk(i))
                    return i;
            }
            return any;
        }
    }

    private void Append(Entry entry)
    {
        if (_start is null)
            return;
        _log.Add(entry);
        _logBytes += entry.Data?.Length ?? 0;
        if (_logBytes > _fullAt)
            _full?.TrySetResult();
        clock.Set(_log.Count);
    }

    private sealed record Entry(long Offset, long Count, byte[]? Data)
    {
        public static Entry Flush { get; } = new(0, 0, null);

        public bool IsFlush => ReferenceEquals(this, Flush);

        public void ApplyTo(SparseImage image)
        {
            if (IsFlush)
                return;
            if (Data is null)
                image.Clear(Offset, Count);
            else
                image.Write(Offset, Data);
        }

        public void ApplyTornTo(SparseImage image, int sector, Random random)
        {
            for (long at = 0; at < Count; at += sector)
            {
                long n = Math.Min(sector, Count - at);
                if (random.Next(2) == 0)
                    continue;
                if (Data is null)
                    image.Clear(Offset + at, n);
                else
                    image.Write(Offset + at, Data.AsSpan((int)at, (int)n));
            }
        }
    }
}

/// <summary>What is left of a disk after a loss of power.</summary>
/// <param name="Image">Its bytes.</param>
/// <param name="AtRisk">Writes that no flush had followed.</param>
/// <param name="Lost">Those of them that left no trace.</param>
internal sealed record CutImage(SparseImage Image, int AtRisk, int Lost);

/// <summary>Which requests a disk answers with EIO.</summary>
[Flags]
internal enum DiskFault
{
    None = 0,
    Reads = 1,
    Writes = 2,
    Flushes = 4,

    /// <summary>The power is gone.</summary>
    All = Reads | Writes | Flushes,
}
