using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>One change of a file's content that the copy has answered.</summary>
/// <param name="Sequence">Its place among all of the session.</param>
/// <param name="Inode">The file.</param>
/// <param name="Kind">What was done.</param>
/// <param name="Offset">First byte; of a truncation, the new size.</param>
/// <param name="Length">Bytes.</param>
/// <param name="Buffer">Memory whose beginning was written; null for the others.</param>
/// <param name="Mode">Of an allocation.</param>
internal sealed record UnstableChange(long Sequence, InodeNumber Inode, UnstableKind Kind, long Offset, long Length, ContentBuffer? Buffer, AllocateMode Mode)
{
    /// <summary>Bytes kept.</summary>
    public int Bytes => Buffer is null ? 0 : (int)Length;

    public ReadOnlyMemory<byte> Data => Buffer is { } buffer ? buffer.Memory[..Bytes] : default;

    /// <summary>Of a write in pieces: where they go. Null: it is one.</summary>
    public GrainInterfaces.WritePiece[]? Pieces { get; init; }

    /// <summary>Of a write, how it is made again: whether it takes privileges away.</summary>
    public WriteFlags Flags { get; init; }

    /// <summary>A message with the buffer may still be on its way out, so it is not used again.</summary>
    public bool IsLent { get; set; }
}

internal enum UnstableKind
{
    Write,
    Truncate,
    Allocate,
}

/// <summary>
/// What the copy has taken and may still have in memory only, kept by the client until a sync says that it is on disk: as NFS keeps unstable writes until a commit with the same verifier
/// (RFC 8881 section 18.32). A copy that was killed gets it again, in order. Thread-safe.
/// </summary>
/// <remarks>
/// Invariants:
/// 1. A change is here from before its caller is answered until a sync that was asked for after its answer has succeeded.
/// 2. Made again in their order from any state in between, all changes of a file that are here lead to the state after the last: writes have their place (an append is kept with the offset that
///    it was answered), a truncation and an allocation say what is to be.
/// 3. Bytes kept are bounded: who would pass the bound waits for a sync.
/// 4. What is here of a file is newer than what others have written to it: they are answered when it is on disk (<see cref="RemoteSession.SettleKeptAsync"/>), or the file is doubted.
/// </remarks>
internal sealed class UnstableChanges(ContentMemory memory)
{
    private readonly Lock _lock = new();
    private readonly LinkedList<UnstableChange> _kept = new();
    private readonly Dictionary<InodeNumber, int> _files = [];
    private readonly HashSet<InodeNumber> _doubted = [];
    private readonly HashSet<InodeNumber> _lost = [];
    private bool _isFrozen;
    private long _sequence;
    private long _reserved;
    private long _bytes;
    private TaskCompletionSource<Errno> _room = New();
    private long _dropped;

    /// <summary>Bytes kept.</summary>
    public long Bytes
    {
        get
        {
            lock (_lock)
                return _bytes;
        }
    }

    /// <summary>The newest change kept; null where there is none.</summary>
    public long? Newest
    {
        get
        {
            lock (_lock)
                return _kept.Last?.Value.Sequence;
        }
    }

    /// <summary>Bytes that were brought to disk, ever.</summary>
    public long Dropped
    {
        get
        {
            lock (_lock)
                return _dropped;
        }
    }

    /// <summary>Takes room for a write, or says what to wait for: an errno where there is none to be had.</summary>
    public Task<Errno>? TryReserve(int length)
    {
        lock (_lock)
        {
            // One alone always fits.
            if (_bytes + _reserved > 0 && _bytes + _reserved + length > Limits.UnstableBytes)
                return _room.Task;
            _reserved += length;
            return null;
        }
    }

    /// <summary>Nothing can be brought to disk: who waits for room is told why.</summary>
    public void Refuse(Errno error)
    {
        lock (_lock)
            Tell(error);
    }

    public void Unreserve(int length)
    {
        lock (_lock)
        {
            _reserved -= length;
            MakeRoom();
        }
    }

    /// <summary>Keeps a change that was answered. The room of a write, which was reserved, becomes its own.</summary>
    /// <param name="change">The change; its sequence is given here.</param>
    /// <param name="isCurrent">Whether the answer was that of the session's present attachment.</param>
    /// <returns>False: nothing is kept, and the change has to be made again, for what is kept is just being made again in another run of the copy.</returns>
    public bool TryKeep(UnstableChange change, Func<bool> isCurrent)
    {
        lock (_lock)
        {
            if (_isFrozen || !isCurrent())
                return false;
            _kept.AddLast(change with { Sequence = ++_sequence });
            _files[change.Inode] = _files.GetValueOrDefault(change.Inode) + 1;
            _reserved -= change.Bytes;
            _bytes += change.Bytes;
            return true;
        }
    }

    /// <summary>What is kept, in order. Nothing comes to it or goes from it until <see cref="Thaw"/>.</summary>
    public IReadOnlyList<UnstableChange> Freeze()
    {
        lock (_lock)
        {
            _isFrozen = true;
            foreach (var change in _kept)
                change.IsLent = true;
            return [.. _kept];
        }
    }

    /// <param name="then">Done before anything is kept again.</param>
    public void Thaw(Action then)
    {
        lock (_lock)
        {
            _isFrozen = false;
            then();
        }
    }

    /// <summary>Everything of a file, or of all, up to a sequence is on disk.</summary>
    public void Drop(long upTo, InodeNumber? inode = null)
    {
        lock (_lock)
        {
            if (_isFrozen)
                return; // the next sync does it
            for (var node = _kept.First; node is not null && node.Value.Sequence <= upTo;)
            {
                var next = node.Next;
                if (inode is null || node.Value.Inode == inode)
                {
                    _bytes -= node.Value.Bytes;
                    _dropped += node.Value.Bytes;
                    if (node.Value.Buffer is { } buffer)
                        memory.Return(buffer, node.Value.IsLent);
                    _kept.Remove(node);
                    if (--_files[node.Value.Inode] == 0)
                    {
                        _files.Remove(node.Value.Inode);
                        _doubted.Remove(node.Value.Inode);
                    }
                }
                node = next;
            }
            MakeRoom();
        }
    }

    /// <summary>Files of which something is kept.</summary>
    public InodeNumber[] Files()
    {
        lock (_lock)
            return [.. _files.Keys];
    }

    /// <summary>Those of some files of which something is kept.</summary>
    public InodeNumber[] Among(ReadOnlySpan<InodeNumber> inodes)
    {
        lock (_lock)
        {
            var kept = new List<InodeNumber>();
            foreach (var inode in inodes)
            {
                if (_files.ContainsKey(inode))
                    kept.Add(inode);
            }
            return [.. kept];
        }
    }

    /// <summary>Others have changed a file, and what is kept of it could not be brought to disk before.</summary>
    public void Doubt(InodeNumber inode)
    {
        lock (_lock)
        {
            if (_files.ContainsKey(inode))
                _doubted.Add(inode);
        }
    }

    public bool IsDoubted(InodeNumber inode)
    {
        lock (_lock)
            return _doubted.Contains(inode);
    }

    /// <summary>What is kept of a file was made in another one.</summary>
    public void Move(InodeNumber from, InodeNumber to)
    {
        lock (_lock)
        {
            if (!_files.Remove(from, out int count))
                return;
            _files[to] = _files.GetValueOrDefault(to) + count;
            _doubted.Remove(from);
            for (var node = _kept.First; node is not null; node = node.Next)
            {
                if (node.Value.Inode == from)
                    node.Value = node.Value with { Inode = to };
            }
        }
    }

    /// <summary>A change could not be made again: the next sync of that file says so.</summary>
    public void Lose(InodeNumber inode)
    {
        lock (_lock)
        {
            // A bound, not a rule: beyond it every sync of a file fails anyway, for the copy is full or broken.
            if (_lost.Count < Limits.LostFiles)
                _lost.Add(inode);
        }
    }

    /// <summary>Whether something of a file was lost since this was asked last.</summary>
    public bool TakeLoss(InodeNumber inode)
    {
        lock (_lock)
            return _lost.Remove(inode);
    }

    private static TaskCompletionSource<Errno> New() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    private void MakeRoom() => Tell(Errno.None);

    private void Tell(Errno error)
    {
        _room.TrySetResult(error);
        _room = New();
    }
}
