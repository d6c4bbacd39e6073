using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>
/// Writes that a program was answered and the copy has not been told of yet: gathered file by file, sent when a buffer is full, a moment after the first of them, or when somebody asks for what depends on them. Thread-safe.
/// </summary>
/// <remarks>
/// Invariants:
/// 1. Writes of one file reach the copy in their order, as far as that can be told from the outside: one that overlaps with another, or appends, waits for it.
/// 2. <see cref="SettleAsync(InodeNumber)"/> completes when everything that was written to the file before the call has been answered by the copy. Whatever shows or changes the file for this session comes after it; so do a
///    close, a lock and a sync. So what was written is seen by who opens the file after the close.
/// 3. A failure is told to the next sync of that file, and until then to each process that closes it, once: who wrote it cannot be told from who only read it. Nothing else takes it, and no later success undoes it. It ends with
///    that sync, or when the mount forgets the file; for closes also <see cref="Limits.FailureTold"/> after the first of them, so that a file which nobody syncs is not closed with an error for ever.
///    (Linux keeps for each descriptor what it has been told, errseq_t; here nobody says which descriptor it is.) The next write of the file waits for its own answer, so a full disk is told to who still writes.
/// 4. Nothing is gathered of a file before a write of it was answered by the copy, or it was made by this session, and not after it may have become immutable or append-only: such a file refuses the write, not the close.
/// 5. The bytes that are gathered are part of the bound on what the session keeps (<see cref="Limits.UnstableBytes"/>).
/// </remarks>
internal sealed class WriteBehind(RemoteSession session) : IDisposable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<InodeNumber, FileWrites> _files = [];
    private readonly SemaphoreSlim _sending = new(Limits.WritesUnderWay);
    private readonly HashSet<InodeNumber> _taking = [];
    private bool _isScheduled;

    /// <summary>Appends a record to an append-only file. Set before the first write.</summary>
    public Func<InodeNumber, ReadOnlyMemory<byte>, ValueTask<FsResult<long>>>? AppendRecord { get; set; }

    /// <summary>Whether anything of a file is on its way.</summary>
    public bool Has(InodeNumber inode)
    {
        lock (_lock)
            return _files.TryGetValue(inode, out var file) && file.IsMoving;
    }

    /// <summary>Whether nothing is on its way.</summary>
    public bool IsEmpty
    {
        get
        {
            lock (_lock)
                return _files.Values.All(f => !f.IsMoving);
        }
    }

    /// <summary>Whether writes of a file may be gathered.</summary>
    public bool Takes(InodeNumber inode)
    {
        lock (_lock)
            return _taking.Contains(inode);
    }

    /// <summary>The copy takes writes of a file.</summary>
    public void Taken(InodeNumber inode)
    {
        lock (_lock)
        {
            if (_taking.Count >= Limits.GatheredFiles)
                _taking.Clear();
            _taking.Add(inode);
        }
    }

    /// <summary>Others have changed a file, or its flags have changed: whether the copy takes writes of it is not known.</summary>
    public void Doubt(ReadOnlySpan<InodeNumber> inodes)
    {
        lock (_lock)
        {
            foreach (var inode in inodes)
                _taking.Remove(inode);
        }
    }

    /// <summary>Whatever was known of files may be wrong.</summary>
    public void DoubtAll()
    {
        lock (_lock)
            _taking.Clear();
    }

    /// <summary>Takes a write. Waits only for room.</summary>
    /// <returns>The offset; of an append 0, for where it goes is not known yet.</returns>
    public async ValueTask<FsResult<long>> WriteAsync(InodeNumber inode, long offset, ReadOnlyMemory<byte> data, WriteFlags flags, CancellationToken cancellation)
    {
        if (await session.ReserveAsync(data.Length, cancellation) is var refused and not Errno.None)
            return refused;
        bool isAppend = (flags & WriteFlags.Append) != 0;
        lock (_lock)
        {
            var file = Of(inode);
            if (file.Gathering is { } full && !full.Fits(data.Length, flags))
                Send(inode, file);
            file.Gathering ??= new WriteBatch(session.Memory, flags, data.Length, session.Time.GetTimestamp());
            file.Gathering.Add(offset, data.Span);
            if (file.Gathering.Bytes >= GrainInterfaces.Limits.MaxTransfer)
                Send(inode, file);
            else
                Schedule();
        }
        return isAppend ? 0 : offset;
    }

    /// <summary>Completes when all that was written to a file has been answered by the copy, or has failed.</summary>
    public ValueTask SettleAsync(InodeNumber inode)
    {
        lock (_lock)
        {
            if (!_files.TryGetValue(inode, out var file))
                return default;
            if (file.Gathering is not null)
                Send(inode, file);
            return new(file.Done);
        }
    }

    /// <summary>The same for a close.</summary>
    /// <returns>What failed, where this process was not told yet.</returns>
    public async ValueTask<Errno> SettleForCloseAsync(InodeNumber inode, ulong owner)
    {
        await SettleAsync(inode);
        lock (_lock)
            return _files.TryGetValue(inode, out var file) ? file.TellClose(owner, session.Time) : Errno.None;
    }

    /// <summary>The same for a sync. A batch that nothing of the file is under way before takes the wish along, which spares a message: then the file is on disk.</summary>
    public async ValueTask<(Errno Written, bool IsSynced)> SettleForSyncAsync(InodeNumber inode, CancellationToken cancellation)
    {
        WriteBatch? last = null;
        var go = new TaskCompletionSource();
        ValueTask settled;
        lock (_lock)
        {
            if (_files.TryGetValue(inode, out var file) && file is { Gathering: { IsAppend: false } batch, IsSending: false })
            {
                last = batch;
                batch.WantsSync = true;
                Send(inode, file, go.Task);
            }
            settled = SettleAsync(inode);
        }
        // Its caller waits for it and for nothing else, so it is sent in this thread.
        go.SetResult();
        // Who does not wait for it is told nothing of what failed.
        await settled.AsTask().WaitAsync(cancellation);
        lock (_lock)
        {
            var written = Errno.None;
            if (_files.TryGetValue(inode, out var told))
            {
                written = told.TakeError();
                Drop(inode, told);
            }
            return (written, last is { IsSynced: true });
        }
    }

    /// <summary>The mount does not know a file any more: nobody has it open who could be told of a failure.</summary>
    public void Forget(InodeNumber inode)
    {
        lock (_lock)
        {
            if (_files.TryGetValue(inode, out var file) && !file.IsMoving)
                _files.Remove(inode);
        }
    }

    /// <summary>The same for all files. What fails is told to those who ask for the file.</summary>
    public async ValueTask SettleAllAsync()
    {
        Task[] all;
        lock (_lock)
        {
            foreach (var (inode, file) in _files)
            {
                if (file.Gathering is not null)
                    Send(inode, file);
            }
            all = [.. _files.Values.Select(f => f.Done)];
        }
        await Task.WhenAll(all);
    }

    /// <summary>When nothing is on its way any more, and nothing comes.</summary>
    public void Dispose() => _sending.Dispose();

    private FileWrites Of(InodeNumber inode)
    {
        if (!_files.TryGetValue(inode, out var file))
            _files.Add(inode, file = new FileWrites());
        return file;
    }

    /// <summary>Forgets a file of which nothing is on its way and nothing is to be told.</summary>
    private void Drop(InodeNumber inode, FileWrites file)
    {
        if (file.IsIdle && _files.TryGetValue(inode, out var known) && known == file)
            _files.Remove(inode);
    }

    private void Schedule()
    {
        if (_isScheduled)
            return;
        _isScheduled = true;
        _ = SendSoonAsync();
    }

    /// <summary>Sends what nobody has asked for. Goes on for a while after that, so that not each write of a program that syncs them has to set a timer, which wakes a thread.</summary>
    private async Task SendSoonAsync()
    {
        for (int idle = 0; ;)
        {
            await Task.Delay(Limits.WriteDelay, session.Time);
            lock (_lock)
            {
                bool isIdle = true;
                foreach (var (inode, file) in _files)
                {
                    isIdle &= !file.IsMoving;
                    if (file.Gathering is { } batch && batch.Delays++ > 0)
                        Send(inode, file);
                }
                idle = isIdle ? idle + 1 : 0;
                if (idle >= Limits.IdleWriteDelays)
                {
                    _isScheduled = false;
                    return;
                }
            }
        }
    }

    /// <summary>Sends what is gathered, behind what it must not overtake. The lock is held.</summary>
    /// <param name="inode">The file.</param>
    /// <param name="file">Its writes.</param>
    /// <param name="go">What it waits for where nothing of the file is under way; it goes on in the thread that completes it.</param>
    private void Send(InodeNumber inode, FileWrites file, Task? go = null)
    {
        var batch = file.Gathering!;
        file.Gathering = null;
        file.Add(batch, go ?? file.Before(batch), before => SendAsync(inode, file, batch, before));
    }

    private async Task SendAsync(InodeNumber inode, FileWrites file, WriteBatch batch, Task before)
    {
        await before.ConfigureAwait(ConfigureAwaitOptions.SuppressThrowing | ConfigureAwaitOptions.ForceYielding);
        await _sending.WaitAsync();
        Errno error;
        try
        {
            error = await session.WriteBatchAsync(inode, batch);
            if (IsForRecords(batch, error))
                error = await AppendRecordsAsync(inode, batch);
        }
        catch (Exception e)
        {
            session.LogWriteFailed(inode, e);
            error = Errno.EIO;
        }
        finally
        {
            _sending.Release();
        }
        session.Cache.Changed(inode);
        // The mount's pages have what was refused. Before anybody is told of it: who opens the file after the close sees what it has.
        if (error != Errno.None)
            _ = session.Holder.InvalidateAsync([inode], areChanged: false).AsTask();
        lock (_lock)
        {
            // A failure that nobody may ever ask for is remembered for so many files and no more.
            file.Remove(batch, _files.Count <= Limits.LostFiles ? error : Errno.None);
            if (error != Errno.None)
                _taking.Remove(inode);
            Drop(inode, file);
        }
    }

    /// <summary>Whether the copy refused appends because the file is append-only: it was opened before that, and each of them is a record.</summary>
    public static bool IsForRecords(WriteBatch batch, Errno error) => batch.IsAppend && error == Errno.EOPNOTSUPP;

    private async Task<Errno> AppendRecordsAsync(InodeNumber inode, WriteBatch batch)
    {
        var rest = batch.Buffer.Memory[..batch.Bytes];
        try
        {
            foreach (var piece in batch.Pieces)
            {
                if (await AppendRecord!(inode, rest[..piece.Length]) is { IsOk: false, Error: var error })
                    return error;
                rest = rest[piece.Length..];
            }
            return Errno.None;
        }
        finally
        {
            session.Unreserve(batch.Bytes);
            session.Memory.Return(batch.Buffer, isLent: true);
        }
    }

    /// <summary>The writes of one file. Used under the lock.</summary>
    private sealed class FileWrites
    {
        private readonly List<(WriteBatch Batch, Task Task)> _underWay = [];
        private readonly HashSet<ulong> _told = [];
        private Errno _error;
        private long? _toldSince;

        public WriteBatch? Gathering { get; set; }

        public bool IsSending => _underWay.Count > 0;

        public bool IsMoving => Gathering is not null || IsSending;

        public bool IsIdle => !IsMoving && _error == Errno.None;

        /// <summary>Completes when what is under way is done.</summary>
        public Task Done => Task.WhenAll(_underWay.Select(u => u.Task));

        /// <summary>What a batch has to wait for.</summary>
        public Task Before(WriteBatch batch) => Task.WhenAll(_underWay.Where(u => u.Batch.Meets(batch)).Select(u => u.Task));

        public void Add(WriteBatch batch, Task before, Func<Task, Task> send)
        {
            // It goes on in another thread, and so is in the list before it is done.
            _underWay.Add((batch, send(before)));
        }

        public void Remove(WriteBatch batch, Errno error)
        {
            _underWay.RemoveAll(u => u.Batch == batch);
            if (error == Errno.None)
                return;
            if (_error == Errno.None)
                _error = error;
            _told.Clear();
            _toldSince = null;
        }

        public Errno TakeError()
        {
            var error = _error;
            _error = Errno.None;
            return error;
        }

        public Errno TellClose(ulong owner, TimeProvider time)
        {
            if (_error == Errno.None)
                return _error;
            _toldSince ??= time.GetTimestamp();
            return time.GetElapsedTime(_toldSince.Value) < Limits.FailureTold && _told.Count < Limits.FailureClosers && _told.Add(owner) ? _error : Errno.None;
        }
    }
}
