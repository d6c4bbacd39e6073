using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>A name that this session has changed.</summary>
/// <param name="Directory">Where.</param>
/// <param name="Name">Which.</param>
/// <param name="After">The directory's attributes as they were answered with the change; null where they were not.</param>
internal readonly record struct ChangedName(InodeNumber Directory, ReadOnlyMemory<byte> Name, Attributes? After);

/// <summary>What a session was answered of names and attributes and may answer again by itself, because the copy tells it when that is no longer so. Thread-safe.</summary>
/// <remarks>
/// Invariants:
/// 1. Nothing is answered from here later than <see cref="GrainInterfaces.Limits.CacheTrust"/> after a heartbeat was sent that the copy has answered.
/// 2. An answer is kept only where nothing that it tells of was recalled, or changed by this session, between the asking and the answer: such an answer may be older than the change.
/// 3. A directory of which the attributes are known has as many entries as its size says: where as many names are known, no other is there. (What this session is just making or removing may count on one side only: its
///    caller has not been answered, so either is right.)
/// 4. Bounded: past <see cref="Limits.CachedInodes"/> or <see cref="Limits.CachedNames"/> what was used longest ago goes, until half is left, and is asked for again.
/// </remarks>
internal sealed class SessionCache(TimeProvider time)
{
    private readonly Lock _lock = new();
    private readonly Dictionary<InodeNumber, Known> _known = [];
    private readonly Dictionary<InodeNumber, (long Recalled, long Changed)> _marks = [];
    private int _names;
    private long _uses;
    private long _now;
    private long _floor;
    private long? _trustedSince;

    /// <summary>Whether the copy has yet to be told of something that was written: its answers are older than that, and are not kept. Asked under the lock.</summary>
    public Func<InodeNumber, bool>? IsBehind { get; init; }

    /// <summary>The moment of an asking, for what its answer is kept with.</summary>
    public long Begin() => Volatile.Read(ref _now);

    /// <summary>The copy has answered a heartbeat that was sent at a timestamp.</summary>
    public void Trust(long sent)
    {
        lock (_lock)
            _trustedSince = sent;
    }

    /// <summary>Nothing is known, and nothing is kept until the next <see cref="Trust"/>.</summary>
    public void Reset()
    {
        lock (_lock)
        {
            _trustedSince = null;
            Clear();
        }
    }

    /// <summary>For how long what is known of an inode's attributes holds at least.</summary>
    public TimeSpan Holds(InodeNumber inode)
    {
        lock (_lock)
        {
            var rest = Rest();
            return rest > TimeSpan.Zero && _known.TryGetValue(inode, out var known) && known.Attributes is not null ? rest : TimeSpan.Zero;
        }
    }

    /// <summary>For how long what was answered of names in a directory holds at least.</summary>
    public TimeSpan HoldsNames(InodeNumber directory)
    {
        lock (_lock)
        {
            var rest = Rest();
            return rest > TimeSpan.Zero && _known.ContainsKey(directory) ? rest : TimeSpan.Zero;
        }
    }

    /// <summary>The answer to a look-up, where it is known: also that there is nothing of that name.</summary>
    public bool TryLookup(InodeNumber directory, ReadOnlySpan<byte> name, out FsResult<Attributes> answer)
    {
        lock (_lock)
        {
            answer = default;
            if (Rest() <= TimeSpan.Zero || !_known.TryGetValue(directory, out var parent))
                return false;
            parent.Used = ++_uses;
            bool isNamed = parent.TryGetName(name, out var child);
            if (!isNamed && !parent.IsComplete)
                return false;
            if (child is not { } inode)
            {
                answer = Errno.ENOENT;
                return true;
            }
            if (!_known.TryGetValue(inode, out var known) || known.Attributes is not { } attributes)
                return false;
            known.Used = ++_uses;
            answer = attributes;
            return true;
        }
    }

    public bool TryAttributes(InodeNumber inode, out Attributes attributes)
    {
        lock (_lock)
        {
            attributes = default;
            if (Rest() <= TimeSpan.Zero || !_known.TryGetValue(inode, out var known) || known.Attributes is not { } held)
                return false;
            known.Used = ++_uses;
            attributes = held;
            return true;
        }
    }

    /// <summary>
    /// Whether a file is known to have no capabilities (capabilities(7)): this session has made it, and nobody has set an extended attribute of it since. The kernel asks before the first write to each file, to take them away.
    /// </summary>
    public bool LacksCapabilities(InodeNumber inode)
    {
        lock (_lock)
            return Rest() > TimeSpan.Zero && _known.TryGetValue(inode, out var known) && known.LacksCapabilities;
    }

    /// <summary>This session sets an extended attribute.</summary>
    public void DoubtCapabilities(InodeNumber inode)
    {
        lock (_lock)
        {
            if (_known.TryGetValue(inode, out var known))
                known.LacksCapabilities = false;
        }
    }

    /// <summary>A look-up was answered: with attributes, or <c>ENOENT</c>.</summary>
    public void KeepLookup(long begun, InodeNumber directory, ReadOnlySpan<byte> name, FsResult<Attributes> answer)
    {
        lock (_lock)
        {
            bool isFound = answer.TryGet(out var attributes, out var error);
            if (!isFound && error != Errno.ENOENT)
                return;
            if (IsUntouched(directory, begun))
                SetName(directory, name, isFound ? attributes.Inode : null);
            if (isFound)
                Keep(begun, attributes);
        }
    }

    /// <summary>An entry of a directory was listed, with its attributes or without.</summary>
    public void KeepEntry(long begun, InodeNumber directory, ReadOnlySpan<byte> name, InodeNumber inode, in Attributes? attributes)
    {
        lock (_lock)
        {
            if (IsUntouched(directory, begun))
                SetName(directory, name, inode);
            if (attributes is { } known)
                Keep(begun, known);
        }
    }

    /// <summary>Whether this session has changed an inode since something was asked for: then the answer may be older than the change.</summary>
    public bool WasChanged(InodeNumber inode, long begun)
    {
        lock (_lock)
            return !IsUntouched(inode, begun);
    }

    /// <summary>Attributes were answered that nobody but their asking depends on.</summary>
    public void KeepAttributes(long begun, in Attributes attributes)
    {
        lock (_lock)
            Keep(begun, attributes);
    }

    /// <summary>An inode was changed by this session, or something may have been: what was asked before and is answered later is not kept.</summary>
    public void Changed(InodeNumber inode)
    {
        lock (_lock)
            Mark(inode);
    }

    /// <summary>This session has read an inode: the copy brings up its access time where that is due.</summary>
    public void WasRead(InodeNumber inode, AccessTimes rule)
    {
        lock (_lock)
        {
            if (_known.TryGetValue(inode, out var known) && known.Attributes is { } attributes && rule.AreDue(attributes, Timestamp.From(time.GetUtcNow())))
                Mark(inode);
        }
    }

    /// <summary>This session has changed an inode, or made it, and was answered what it is like now.</summary>
    public void KeepChanged(long begun, in Attributes attributes, bool isNew = false)
    {
        lock (_lock)
        {
            bool isNewest = IsUntouched(attributes.Inode, begun);
            Mark(attributes.Inode);
            if (!isNewest || attributes.LinkCount == 0 || IsBehind?.Invoke(attributes.Inode) == true)
                return;
            var known = Of(attributes.Inode);
            known.Attributes = attributes;
            known.LacksCapabilities |= isNew;
        }
    }

    /// <summary>This session has made or removed a name, and no other has it now or none.</summary>
    /// <param name="begun">When it was asked for.</param>
    /// <param name="changed">Which.</param>
    /// <param name="inode">What has it now; null for nothing.</param>
    public void NameChanged(long begun, in ChangedName changed, InodeNumber? inode)
    {
        lock (_lock)
        {
            bool isNewest = IsUntouched(changed.Directory, begun);
            Rename(begun, changed, inode);
            if (isNewest)
                KeepDirectory(changed);
            if (inode is null)
                ForgetAbsent(changed);
        }
    }

    /// <summary>This session has removed a directory.</summary>
    public void DirectoryGone(InodeNumber directory)
    {
        lock (_lock)
        {
            Mark(directory);
            Drop(directory);
        }
    }

    /// <summary>This session has moved an inode from one name to another.</summary>
    public void NameMoved(long begun, in ChangedName from, in ChangedName to, InodeNumber inode)
    {
        lock (_lock)
        {
            var (isNewest, isNewestThere) = (IsUntouched(from.Directory, begun), IsUntouched(to.Directory, begun));
            Rename(begun, from, null);
            Rename(begun, to, inode);
            if (isNewest)
                KeepDirectory(from);
            if (isNewestThere)
                KeepDirectory(to);
            ForgetAbsent(from);
        }
    }

    /// <summary>It is not known what became of a name.</summary>
    public void NameDoubtful(InodeNumber directory, ReadOnlySpan<byte> name)
    {
        lock (_lock)
        {
            Mark(directory);
            RemoveName(directory, name);
        }
    }

    /// <summary>What has a name, as far as it is known.</summary>
    public InodeNumber? Named(InodeNumber directory, ReadOnlySpan<byte> name)
    {
        lock (_lock)
            return _known.TryGetValue(directory, out var parent) && parent.TryGetName(name, out var child) ? child : null;
    }

    /// <summary>Others have changed these inodes: all that is known of them goes, of directories their names too.</summary>
    public void Recall(ReadOnlySpan<InodeNumber> inodes)
    {
        lock (_lock)
        {
            _now++;
            foreach (var inode in inodes)
            {
                Drop(inode);
                Note(inode, (_now, _now));
            }
        }
    }

    private TimeSpan Rest() => _trustedSince is { } since ? GrainInterfaces.Limits.CacheTrust - time.GetElapsedTime(since) : TimeSpan.Zero;

    private bool IsUntouched(InodeNumber inode, long begun) => begun >= _floor && (!_marks.TryGetValue(inode, out var mark) || mark.Changed <= begun);

    private void Keep(long begun, in Attributes attributes)
    {
        // The end of an inode without a name is no change that anybody is told of.
        if (attributes.LinkCount > 0 && IsUntouched(attributes.Inode, begun) && IsBehind?.Invoke(attributes.Inode) != true)
            Of(attributes.Inode).Attributes = attributes;
    }

    private void Mark(InodeNumber inode)
    {
        _now++;
        if (_known.TryGetValue(inode, out var known))
            known.Attributes = null;
        Note(inode, (_marks.TryGetValue(inode, out var mark) ? mark.Recalled : 0, _now));
    }

    /// <summary>Marks are of use to answers that are on their way. When there are many, all that was asked for before now counts as touched.</summary>
    private void Note(InodeNumber inode, (long Recalled, long Changed) mark)
    {
        if (_marks.Count >= Limits.CacheMarks)
        {
            _marks.Clear();
            _floor = ++_now;
        }
        _marks[inode] = mark;
    }

    private void Rename(long begun, in ChangedName changed, InodeNumber? inode)
    {
        // Of the directory the names stay known: only this one is another.
        bool isRecalled = begun < _floor || (_marks.TryGetValue(changed.Directory, out var mark) && mark.Recalled > begun);
        Mark(changed.Directory);
        if (isRecalled)
            RemoveName(changed.Directory, changed.Name.Span);
        else
            SetName(changed.Directory, changed.Name.Span, inode);
    }

    private void KeepDirectory(in ChangedName changed)
    {
        if (changed.After is { LinkCount: > 0 } attributes)
            Of(changed.Directory).Attributes = attributes;
    }

    /// <summary>Where all names are known, that one is not there needs no room.</summary>
    private void ForgetAbsent(in ChangedName changed)
    {
        if (_known.TryGetValue(changed.Directory, out var parent) && parent.IsComplete && parent.TryGetName(changed.Name.Span, out var child) && child is null)
            RemoveName(changed.Directory, changed.Name.Span);
    }

    private void Drop(InodeNumber inode)
    {
        if (_known.Remove(inode, out var known))
            _names -= known.NameCount;
    }

    private void MakeRoom()
    {
        foreach (var (inode, _) in _known.OrderBy(k => k.Value.Used).ToList())
        {
            if (_known.Count <= Limits.CachedInodes / 2 && _names <= Limits.CachedNames / 2)
                return;
            Drop(inode);
        }
    }

    private void SetName(InodeNumber directory, ReadOnlySpan<byte> name, InodeNumber? inode)
    {
        if (_names >= Limits.CachedNames)
            MakeRoom();
        if (Of(directory).SetName(name, inode))
            _names++;
    }

    private void RemoveName(InodeNumber directory, ReadOnlySpan<byte> name)
    {
        if (_known.TryGetValue(directory, out var parent) && parent.RemoveName(name))
            _names--;
    }

    private Known Of(InodeNumber inode)
    {
        if (!_known.TryGetValue(inode, out var known))
        {
            if (_known.Count >= Limits.CachedInodes)
                MakeRoom();
            _known.Add(inode, known = new Known());
        }
        known.Used = ++_uses;
        return known;
    }

    private void Clear()
    {
        _known.Clear();
        _marks.Clear();
        _names = 0;
        _floor = ++_now;
    }

    /// <summary>What is known of one inode.</summary>
    private sealed class Known
    {
        private Dictionary<byte[], InodeNumber?>? _names;

        /// <summary>Names that something has.</summary>
        private int _taken;

        public Attributes? Attributes { get; set; }

        /// <summary>When it was of use last, in uses of anything.</summary>
        public long Used { get; set; }

        /// <summary>Stays where the inode is changed by this session; goes with everything else where others change it.</summary>
        public bool LacksCapabilities { get; set; }

        public int NameCount => _names?.Count ?? 0;

        public bool TryGetName(ReadOnlySpan<byte> name, out InodeNumber? inode)
        {
            inode = null;
            return _names is not null && _names.GetAlternateLookup<ReadOnlySpan<byte>>().TryGetValue(name, out inode);
        }

        /// <summary>Whether no name is in the directory but those that are known.</summary>
        public bool IsComplete => Attributes is { IsDirectory: true, Size: var entries } && entries == _taken;

        /// <returns>Whether the name was not known before.</returns>
        public bool SetName(ReadOnlySpan<byte> name, InodeNumber? inode)
        {
            var names = (_names ??= new(NameComparer.Instance)).GetAlternateLookup<ReadOnlySpan<byte>>();
            int before = _names.Count;
            if (names.TryGetValue(name, out var known) && known is not null)
                _taken--;
            names[name] = inode;
            if (inode is not null)
                _taken++;
            return _names.Count > before;
        }

        public bool RemoveName(ReadOnlySpan<byte> name)
        {
            if (_names is null || !_names.GetAlternateLookup<ReadOnlySpan<byte>>().Remove(name, out _, out var known))
                return false;
            if (known is not null)
                _taken--;
            return true;
        }
    }

    private sealed class NameComparer : IEqualityComparer<byte[]>, IAlternateEqualityComparer<ReadOnlySpan<byte>, byte[]>
    {
        public static readonly NameComparer Instance = new();

        public bool Equals(byte[]? x, byte[]? y) => x.AsSpan().SequenceEqual(y);

        public int GetHashCode(byte[] name) => GetHashCode(name.AsSpan());

        public bool Equals(ReadOnlySpan<byte> alternate, byte[] other) => alternate.SequenceEqual(other);

        public int GetHashCode(ReadOnlySpan<byte> alternate)
        {
            var hash = default(HashCode);
            hash.AddBytes(alternate);
            return hash.ToHashCode();
        }

        public byte[] Create(ReadOnlySpan<byte> alternate) => alternate.ToArray();
    }
}
