using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>Brings the WAL to disk, once for all who wait: a waiter that comes while a sync runs waits for the next.</summary>
/// <remarks>
/// It has a descriptor of its own on the WAL file. That is safe: SQLite holds its file locks on the database and the shared-memory file, and closing a
/// descriptor of another file does
/// not drop them. The WAL stays the same file for as long as a connection is open.
/// </remarks>
internal sealed partial class WalSync : IDisposable
{
    private readonly object _gate = new();
    private readonly SafeFileHandle _file;
    private readonly Func<(long Commits, long Lsn)> _position;
    private readonly Action<Exception> _failed;
    private readonly Thread _thread;
    private TaskCompletionSource? _next;
    private Exception? _failure;
    private long _synced;
    private long _durableLsn;
    private bool _stop;

    /// <param name="walPath">The WAL file; it exists.</param>
    /// <param name="position">What is committed: how many transactions, and up to which mutation.</param>
    /// <param name="lsn">What was there when the volume was opened.</param>
    /// <param name="failed">Told when the disk fails.</param>
    public WalSync(string walPath, Func<(long Commits, long Lsn)> position, long lsn, Action<Exception> failed)
    {
        _position = position;
        _failed = failed;
        _file = File.OpenHandle(walPath, FileMode.Open, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
        // SQLite syncs the folder only with a sync of its own, which a commit in this mode does not make.
        SyncFolder(Path.GetDirectoryName(Path.GetFullPath(walPath))!);
        Sync(_file);
        _durableLsn = lsn;
        _thread = new Thread(Run) { IsBackground = true, Name = "meta.db sync" };
        _thread.Start();
    }

    public long DurableLsn => Volatile.Read(ref _durableLsn);

    /// <summary>Completes when the first <paramref name="commits"/> transactions are on disk.</summary>
    public Task WaitAsync(long commits, CancellationToken cancellation)
    {
        lock (_gate)
        {
            if (_failure is not null)
                return Task.FromException(_failure);
            if (_synced >= commits)
                return Task.CompletedTask;
            if (_stop)
                return Task.FromException(new ObjectDisposedException(nameof(MetadataStore)));
            if (_next is null)
            {
                _next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
                Monitor.Pulse(_gate);
            }
            return _next.Task.WaitAsync(cancellation);
        }
    }

    /// <summary>Serves who waits, then stops.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _stop = true;
            Monitor.Pulse(_gate);
        }
        _thread.Join();
        _file.Dispose();
    }

    private void Run()
    {
        while (TakeWaiters() is { } waiters)
        {
            var (commits, lsn) = _position();
            try
            {
                Sync(_file);
            }
            catch (MetadataException e)
            {
                // After a failed sync the system may have dropped the pages and say yes to the next one: nothing can be promised any more.
                lock (_gate)
                    _failure = e;
                waiters.SetException(e);
                Fail(e);
                return;
            }
            lock (_gate)
                _synced = Math.Max(_synced, commits);
            Volatile.Write(ref _durableLsn, lsn);
            waiters.SetResult();
        }
    }

    private TaskCompletionSource? TakeWaiters()
    {
        lock (_gate)
        {
            while (_next is null && !_stop)
                Monitor.Wait(_gate);
            var waiters = _next;
            _next = null;
            return waiters;
        }
    }

    private void Fail(Exception error)
    {
        lock (_gate)
            _next?.SetException(error);
        _failed(error);
    }

    private static void Sync(SafeFileHandle file)
    {
        int errno;
        do
        {
            errno = fdatasync(file) == 0 ? 0 : Marshal.GetLastPInvokeError();
        }
        while (errno == (int)Errno.EINTR);
        if (errno != 0)
            throw new MetadataException(Errno.EIO, 0, $"fdatasync of meta.db-wal failed: {(Errno)errno}");
    }

    private static void SyncFolder(string path)
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
}
