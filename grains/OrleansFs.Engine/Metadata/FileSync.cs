using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>How one who waits for a sync goes on.</summary>
internal enum SyncWait
{
    /// <summary>In a thread of the pool.</summary>
    Later,

    /// <summary>In the thread of the sync, which saves two wake-ups: only for one who just passes the answer on.</summary>
    AtOnce,

    /// <summary>As <see cref="AtOnce"/>; where a sync is short and nobody else would share it, who asks for it makes it himself, which saves two more.</summary>
    Here,
}

/// <summary>
/// Brings what is appended to a log to disk, once for all who wait: a waiter that comes while a sync runs waits for the next. A thread of its own makes the calls, or one who waits (see
/// <see cref="CallerPace"/>). Never two at a time.
/// </summary>
internal sealed partial class FileSync : IDisposable
{
    private readonly object _gate = new();
    private readonly Func<(long Position, long Lsn)> _position;
    private readonly Action _sync;
    private readonly Action<Exception> _failed;
    private readonly Thread _thread;
    private readonly CallerPace _pace;
    private Waiters? _next;
    private bool _running;
    private Exception? _failure;
    private long _synced;
    private long _durableLsn;
    private bool _stop;

    /// <param name="name">Of the thread.</param>
    /// <param name="position">What has been written: a number that grows, and up to which mutation.</param>
    /// <param name="lsn">Up to which mutation all was on disk before.</param>
    /// <param name="sync">Brings what is written to disk.</param>
    /// <param name="failed">Told when the disk fails.</param>
    /// <param name="time">Measures the syncs.</param>
    public FileSync(string name, Func<(long Position, long Lsn)> position, long lsn, Action sync, Action<Exception> failed, TimeProvider time)
    {
        _pace = new CallerPace(time);
        _position = position;
        _sync = sync;
        _failed = failed;
        _durableLsn = lsn;
        _thread = new Thread(Run) { IsBackground = true, Name = name };
        _thread.Start();
    }

    public long DurableLsn => Volatile.Read(ref _durableLsn);

    /// <summary>Up to which position all is on disk.</summary>
    public long Synced => Volatile.Read(ref _synced);

    /// <summary>Completes when all up to a position is on disk.</summary>
    /// <param name="position">What is waited for.</param>
    /// <param name="how">How who waits goes on.</param>
    /// <param name="cancellation">Ends the waiting. Not where it goes on at once: the sync that it waits for has begun or is about to, and its end could only be told through another thread.</param>
    public Task WaitAsync(long position, SyncWait how, CancellationToken cancellation)
    {
        cancellation.ThrowIfCancellationRequested();
        lock (_gate)
        {
            if (_failure is not null)
                return Task.FromException(_failure);
            if (_synced >= position)
                return Task.CompletedTask;
            if (_stop)
                return Task.FromException(new ObjectDisposedException(nameof(MetadataStore)));
            if (how != SyncWait.Here || _running || _next is not null || !_pace.IsForCaller())
            {
                if (_next is null)
                {
                    _next = new Waiters();
                    Monitor.Pulse(_gate);
                }
                return how == SyncWait.Later ? _next.Later.Task.WaitAsync(cancellation) : _next.AtOnce.Task;
            }
            _running = true;
        }
        return SyncOnce() is { } failure ? Task.FromException(failure) : Task.CompletedTask;
    }

    /// <summary>Serves who waits, then stops.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _stop = true;
            Monitor.Pulse(_gate);
        }
        // The last of those whom it serves may be who closes.
        if (Environment.CurrentManagedThreadId != _thread.ManagedThreadId)
            _thread.Join();
    }

    private void Run()
    {
        while (TakeWaiters() is { } waiters)
        {
            if (SyncOnce() is { } failure)
            {
                waiters.Fail(failure);
                return;
            }
            waiters.Complete();
        }
    }

    /// <summary>One sync, by whoever has set <see cref="_running"/>.</summary>
    /// <returns>Why it failed; null where all that was written before the call is on disk.</returns>
    private Exception? SyncOnce()
    {
        var (position, lsn) = _position();
        long begun = _pace.Begin();
        Exception? failure = null;
        try
        {
            _sync();
        }
        catch (Exception e)
        {
            // After a failed sync the system may have dropped the pages and say yes to the next one: nothing can be promised any more.
            failure = e;
        }
        lock (_gate)
        {
            _running = false;
            _failure = failure;
            if (failure is null)
            {
                _synced = Math.Max(_synced, position);
                Volatile.Write(ref _durableLsn, lsn);
                _pace.Note(begun, shared: _next is not null);
            }
            if (_next is not null || _stop || failure is not null)
                Monitor.Pulse(_gate);
        }
        if (failure is not null)
            Fail(failure);
        return failure;
    }

    private Waiters? TakeWaiters()
    {
        lock (_gate)
        {
            while (_running || (_next is null && !_stop && _failure is null))
                Monitor.Wait(_gate);
            if (_failure is not null)
                return null;
            var waiters = _next;
            _next = null;
            _running = waiters is not null;
            return waiters;
        }
    }

    private void Fail(Exception error)
    {
        Waiters? waiters;
        lock (_gate)
            (waiters, _next) = (_next, null);
        waiters?.Fail(error);
        _failed(error);
    }

    /// <exception cref="MetadataException">It failed: it is not known what is on disk.</exception>
    public static void Sync(SafeFileHandle file, string name)
    {
        int errno;
        do
        {
            errno = fdatasync(file) == 0 ? 0 : Marshal.GetLastPInvokeError();
        }
        while (errno == (int)Errno.EINTR);
        if (errno != 0)
            throw new MetadataException(Errno.EIO, 0, $"fdatasync of {name} failed: {(Errno)errno}");
    }

    /// <exception cref="MetadataException">It failed: it is not known whether the names in it are on disk.</exception>
    public static void SyncFolder(string path)
    {
        using var folder = open(path, O_RDONLY | O_CLOEXEC);
        if (folder.IsInvalid || fsync(folder) != 0)
            throw new MetadataException(Errno.EIO, 0, $"fsync of {path} failed: {(Errno)Marshal.GetLastPInvokeError()}");
    }

    private const int O_RDONLY = 0;
    private const int O_CLOEXEC = 0x80000;

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fdatasync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int fsync(SafeFileHandle file);

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle open(string path, int flags);

    /// <summary>Those who wait for the same sync. A failure that nobody waits for is told by the one that it fails.</summary>
    private sealed class Waiters
    {
        public TaskCompletionSource AtOnce { get; } = new();

        public TaskCompletionSource Later { get; } = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Complete()
        {
            Later.SetResult();
            AtOnce.SetResult();
        }

        public void Fail(Exception error)
        {
            foreach (var source in (TaskCompletionSource[])[Later, AtOnce])
            {
                source.SetException(error);
                _ = source.Task.Exception;
            }
        }
    }
}
