using System.Buffers.Binary;
using System.Text;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>
/// The effects of the open transaction, in order. They serve twice: they become the journal's value, and when SQLite fails they are applied again to a fresh
/// transaction,
/// so that nothing acknowledged is lost and a failed operation leaves nothing.
/// </summary>
internal sealed class EffectWriter
{
    /// <summary>Version of the records: the first byte of a journal value. Version 1 had no content hashes in inodes, 2 nothing of sessions, 3 nothing of branches; all are read for ever.</summary>
    public const byte Version = 4;

    /// <summary>Buffers up to this size are kept for the next transaction.</summary>
    private const int KeptBytes = 1 << 20;

    private readonly List<(int Start, int End)> _local = [];
    private byte[] _buffer = new byte[64 << 10];
    private byte[] _value = [];

    /// <summary>Bytes written so far: a mark to come back to.</summary>
    public int Length { get; private set; }

    /// <summary>Records that are not local.</summary>
    public int Journaled { get; private set; }

    public ReadOnlySpan<byte> Written => _buffer.AsSpan(0, Length);

    /// <summary>Forgets everything after a mark.</summary>
    public void Truncate(int length, int journaled)
    {
        Length = length;
        Journaled = journaled;
        _local.RemoveAll(l => l.Start >= length);
    }

    public void Clear()
    {
        Truncate(0, 0);
        if (_buffer.Length > KeptBytes)
            _buffer = new byte[KeptBytes];
        if (_value.Length > KeptBytes)
            _value = [];
    }

    /// <summary>Takes records over that another writer has written. What they are it is told by <see cref="NoteAdopted"/>.</summary>
    public void Adopt(ReadOnlySpan<byte> records) => records.CopyTo(Room(records.Length));

    /// <summary>What a record is that was taken over.</summary>
    public void NoteAdopted(EffectKind kind, int start, int end)
    {
        if (kind >= EffectKind.SettleRedo)
            _local.Add((start, end));
        else
            Journaled++;
    }

    /// <summary>The journal's value: everything but the local records. Good until the next change.</summary>
    public ReadOnlySpan<byte> ToJournal()
    {
        // The local records, synced content above all, are most of a large transaction.
        int needed = Length - _local.Sum(l => l.End - l.Start) + 1;
        if (_value.Length < needed)
            _value = new byte[Math.Max(needed, KeptBytes)];
        _value[0] = Version;
        int from = 0, to = 1;
        foreach (var (start, end) in _local)
        {
            _buffer.AsSpan(from, start - from).CopyTo(_value.AsSpan(to));
            to += start - from;
            from = end;
        }
        _buffer.AsSpan(from, Length - from).CopyTo(_value.AsSpan(to));
        return _value.AsSpan(0, to + Length - from);
    }

    public void AddInode(in InodeRow row, ReadOnlySpan<byte> target)
    {
        Begin(EffectKind.AddInode);
        Put(row);
        Put(target);
    }

    public void PutInode(in InodeRow row)
    {
        Begin(EffectKind.PutInode);
        Put(row);
    }

    public void DeleteInode(InodeNumber inode)
    {
        Begin(EffectKind.DeleteInode);
        Put(inode.Value);
    }

    public void PutDentry(in PutDentry effect)
    {
        Begin(EffectKind.PutDentry);
        Put(effect.Parent.Value);
        Put(effect.Name);
        Put((ulong)effect.Cookie);
        Put(effect.Inode.Value);
        Put(effect.Type);
    }

    public void DeleteDentry(InodeNumber parent, ReadOnlySpan<byte> name)
    {
        Begin(EffectKind.DeleteDentry);
        Put(parent.Value);
        Put(name);
    }

    public void SetXattr(InodeNumber inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        Begin(EffectKind.SetXattr);
        Put(inode.Value);
        Put(name);
        Put(value);
    }

    public void DeleteXattr(InodeNumber inode, ReadOnlySpan<byte> name)
    {
        Begin(EffectKind.DeleteXattr);
        Put(inode.Value);
        Put(name);
    }

    public void DeleteXattrs(InodeNumber inode)
    {
        Begin(EffectKind.DeleteXattrs);
        Put(inode.Value);
    }

    public void SetBlocks(in SetBlocks effect)
    {
        Begin(EffectKind.SetBlocks);
        Put(effect.Manifest);
        Put((ulong)effect.Segment);
        Put(effect.Time);
        Put((ulong)effect.Birth.Value);
        Put((ulong)effect.Blocks.Length);
        foreach (ref readonly var block in effect.Blocks)
        {
            Put((byte)(block.Index % MetadataLimits.SegmentBlocks));
            Put(block.Hash);
            if (block.Hash.IsHole)
                continue;
            Put((ulong)block.Length);
            Put8(unchecked((long)block.WeakChecksum));
            Put((ulong)block.StoredBytes);
            Put((byte)(block.WriteSequence > 0 ? 1 : 0));
        }
    }

    public void DropBlocks(in DropBlocks effect)
    {
        Begin(EffectKind.DropBlocks);
        Put(effect.Manifest);
        Put((ulong)effect.First);
        Put((ulong)effect.End);
        Put(effect.Time);
    }

    public void MoveSegments(in MoveSegments effect)
    {
        Begin(EffectKind.MoveSegments);
        Put(effect.From);
        Put(effect.To);
        Put((ulong)effect.First);
        Put((ulong)effect.End);
    }

    public void PutState(in VolumeState state)
    {
        Begin(EffectKind.PutState);
        Put(state.NextInode);
        Put((ulong)state.NextCookie);
        Put(state.Clock);
        Put((ulong)state.Lsn.Value);
        Put((ulong)state.Counters.Files);
        Put((ulong)state.Counters.Directories);
        Put((ulong)state.Counters.Others);
        Put((ulong)state.Counters.LogicalBytes);
        Put((ulong)state.Counters.Orphans);
    }

    public void SettleRedo(InodeNumber inode, long sequence)
    {
        int start = BeginLocal(EffectKind.SettleRedo);
        Put(inode.Value);
        Put((ulong)sequence);
        _local.Add((start, Length));
    }

    public void ForgetRedo(long before)
    {
        int start = BeginLocal(EffectKind.ForgetRedo);
        Put((ulong)before);
        _local.Add((start, Length));
    }

    public void Touch(ReadOnlySpan<BlockHash> hashes, Timestamp time)
    {
        int start = BeginLocal(EffectKind.Touch);
        Put(time);
        Put((ulong)hashes.Length);
        foreach (var hash in hashes)
            Put(hash);
        _local.Add((start, Length));
    }

    public void DeleteBlock(BlockHash hash)
    {
        Begin(EffectKind.DeleteBlock);
        Put(hash);
    }

    public void BeginEpoch(in EpochStart epoch)
    {
        Begin(EffectKind.BeginEpoch);
        Put((ulong)epoch.Epoch.Value);
        Put((ulong)epoch.Start.Value);
        Put(epoch.Time);
    }

    public void BeginBranch(in Branch branch)
    {
        Begin(EffectKind.BeginBranch);
        Put((ulong)branch.Start.Value);
        branch.Id.TryWriteBytes(Room(16));
    }

    public void Rename() => Begin(EffectKind.Rename);

    public void AddRecord(in AddRecord effect)
    {
        Begin(EffectKind.AddRecord);
        Put(effect.Inode.Value);
        Put((ulong)effect.Record.Site);
        Put((ulong)effect.Record.Sequence);
        Put((ulong)effect.Record.Offset);
        Put((ulong)effect.Record.Length);
        Put((ulong)effect.Record.Lsn.Value);
        Put(effect.Record.Time);
        Put((ulong)(effect.Name?.Number ?? 0));
        if (effect.Name is { } name)
            name.Writer.TryWriteBytes(Room(16));
    }

    public void TrimRecords(InodeNumber inode, ushort site, long keep)
    {
        Begin(EffectKind.TrimRecords);
        Put(inode.Value);
        Put((ulong)site);
        Put((ulong)keep);
    }

    public void DropRecords(InodeNumber inode)
    {
        Begin(EffectKind.DropRecords);
        Put(inode.Value);
    }

    public void PutReplica(in ReplicaRow replica)
    {
        int start = BeginLocal(EffectKind.PutReplica);
        Put(Encoding.UTF8.GetBytes(replica.Name.Value));
        Put((ulong)replica.Acked.Value);
        Put((byte)(replica.Held is null ? 0 : 1));
        Put((ulong)(replica.Held?.Value ?? 0));
        Put(replica.Registered);
        Put(replica.Seen);
        Put((byte)(replica.Lacks ? 1 : 0));
        _local.Add((start, Length));
    }

    public void DeleteReplica(CopyName name)
    {
        int start = BeginLocal(EffectKind.DeleteReplica);
        Put(Encoding.UTF8.GetBytes(name.Value));
        _local.Add((start, Length));
    }

    public void SetResidency(BlockHash hash, Residency residency)
    {
        int start = BeginLocal(EffectKind.SetResidency);
        Put((byte)residency);
        Put(hash);
        _local.Add((start, Length));
    }

    public void Compose(in ComposedRow composed, IReadOnlyList<BlockHash> sources, long storedBytes)
    {
        int start = BeginLocal(EffectKind.Compose);
        Put(composed.Hash);
        Put8(unchecked((long)composed.Content));
        Put(composed.Program);
        Put((ulong)sources.Count);
        foreach (var source in sources)
            Put(source);
        Put((ulong)storedBytes);
        _local.Add((start, Length));
    }

    public void Decompose(BlockHash hash, long storedBytes)
    {
        int start = BeginLocal(EffectKind.Decompose);
        Put(hash);
        Put((ulong)storedBytes);
        _local.Add((start, Length));
    }

    public void Fence(in Fence fence)
    {
        int start = BeginLocal(EffectKind.Fence);
        Put((ulong)fence.By.Value);
        Put((ulong)fence.At.Value);
        _local.Add((start, Length));
    }

    public void PutSession(KeptSession session)
    {
        Begin(EffectKind.PutSession);
        Put(session.Id.ToByteArray());
        Put(Encoding.UTF8.GetBytes(session.Client));
        PutOptional(session.Lapsed);
        PutOptional(session.Ended);

        void PutOptional(Timestamp? time)
        {
            Put((byte)(time is null ? 0 : 1));
            Put(time ?? default);
        }
    }

    public void DeleteSession(Guid session)
    {
        Begin(EffectKind.DeleteSession);
        Put(session.ToByteArray());
    }

    public void PutReply(in ReplyKey key, ReadOnlySpan<byte> value)
    {
        Begin(EffectKind.PutReply);
        Put(key.Session.ToByteArray());
        Put((ulong)key.Slot);
        Put((ulong)key.Sequence);
        Put(value);
    }

    private void Begin(EffectKind kind)
    {
        Journaled++;
        Put((byte)kind);
    }

    private int BeginLocal(EffectKind kind)
    {
        int start = Length;
        Put((byte)kind);
        return start;
    }

    private void Put(in InodeRow row)
    {
        var a = row.Attributes;
        Put(a.Inode.Value);
        Put((ulong)a.Mode);
        Put((ulong)a.LinkCount);
        Put((ulong)a.Uid);
        Put((ulong)a.Gid);
        Put((ulong)a.Size);
        Put((ulong)a.AllocatedBytes);
        Put(a.AccessTime);
        Put(a.ModifyTime);
        Put(a.ChangeTime);
        Put(a.BirthTime);
        Put((ulong)a.Device);
        Put((ulong)a.Flags);
        Put(row.Parent.Value);
        Put(row.Manifest);
        Put((ulong)row.XattrBytes);
        int hash = row.HashChanged ? row.Hash is null ? 2 : 4 : 0;
        Put((byte)((row.Linkable ? 1 : 0) | hash));
        if (hash == 4)
            Put(row.Hash!.Value);
    }

    private void Put(byte value) => Room(1)[0] = value;

    private void Put(ulong value)
    {
        var room = Reserve(10);
        int n = 0;
        while (value >= 0x80)
        {
            room[n++] = (byte)(value | 0x80);
            value >>= 7;
        }
        room[n++] = (byte)value;
        Length += n;
    }

    private void Put(Timestamp time) => Put8(time.Nanoseconds);

    private void Put8(long value) => BinaryPrimitives.WriteInt64LittleEndian(Room(8), value);

    private void Put(BlockHash hash) => hash.CopyTo(Room(BlockHash.Size));

    private void Put(ReadOnlySpan<byte> bytes)
    {
        Put((ulong)bytes.Length);
        bytes.CopyTo(Room(bytes.Length));
    }

    private Span<byte> Room(int bytes)
    {
        var room = Reserve(bytes);
        Length += bytes;
        return room[..bytes];
    }

    private Span<byte> Reserve(int bytes)
    {
        if (_buffer.Length - Length < bytes)
            Array.Resize(ref _buffer, Math.Max(_buffer.Length * 2, Length + bytes));
        return _buffer.AsSpan(Length);
    }
}
