using OrleansFs.Engine.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>
/// An inode in memory. There is at most one object an inode number; it is found through <see cref="MetadataStore.Acquire"/>.
/// </summary>
/// <remarks>
/// Invariants:
/// 1. <see cref="Current"/> is what stat(2) shows. <see cref="Committed"/> is what the row in meta.db says of the content: size, allocated bytes and modify
/// time, which change
///    together with the manifest and never before it. They differ only while <see cref="Content"/> has something in flight.
/// 2. All mutable members are read and written under <c>lock (inode)</c>, the innermost lock: nothing is taken, called or awaited while it is held.
/// 3. An object with pins, with content in flight, or with attributes not yet in its row (<see cref="AttributesDirty"/>) is never dropped from memory.
/// </remarks>
internal sealed class Inode(Attributes current)
{
    private int _pins;

    public InodeNumber Number { get; } = current.Inode;

    /// <summary>Guards the content: <see cref="Content"/>, what it holds, and together with the inode's own lock its size. Taken before the metadata lock,
    /// held for memory copies and SQLite
    /// statements only, never over disk or network I/O.</summary>
    public Lock Gate { get; } = new();

    public Attributes Current { get; set; } = current;

    public CommittedContent Committed { get; set; } = new(current.Size, current.AllocatedBytes, current.ModifyTime);

    /// <summary>Attributes differ from the row and are written before the open transaction is committed.</summary>
    public bool AttributesDirty { get; set; }

    /// <summary>Directory that holds this directory; for "..". Meaningless for anything but a directory.</summary>
    public InodeNumber Parent { get; set; }

    /// <summary>Made unnamed (O_TMPFILE) and not linked since: an inode of link count 0 that may be linked.</summary>
    public bool Linkable { get; set; }

    /// <summary>Key of the file's rows in table manifest. Guarded by the metadata lock, as are the members that follow, down to <see
    /// cref="Content"/>.</summary>
    public ulong Manifest { get; set; } = current.Inode.Value;

    /// <summary>Bytes of names and values of its extended attributes: 0 spares looking for any.</summary>
    public int XattrBytes { get; set; }

    /// <summary>Target of a symbolic link whose row is not written yet; null otherwise.</summary>
    public byte[]? NewTarget { get; set; }

    /// <summary>There is no row yet: it is inserted before the open transaction is committed.</summary>
    public bool IsNew { get; set; }

    /// <summary>The content has changed since its hash was computed for the row.</summary>
    public bool HashVoid { get; set; }

    /// <summary>Purged: nothing may be written for it any more. Who still holds the object gets ESTALE.</summary>
    public bool IsGone { get; set; }

    /// <summary>Newest mutation that concerns it, of those that the redo log does not carry: all but plain writes and the times that go with them. Written under the metadata lock, read without.</summary>
    public long Changed;

    /// <summary>Newest mutation of its modify and change time alone.</summary>
    public long TimesChanged;

    /// <summary>Found since the search for an inode to drop last came by. A hint: read and written without a lock.</summary>
    public bool Recent { get; set; }

    /// <summary>What its readers will want next. Guarded by <see cref="Gate"/>.</summary>
    public Blocks.ReadAhead ReadAhead;

    /// <summary>The file's content beyond what is committed; null while nothing of it is in memory.</summary>
    public FileContent? Content { get; set; }

    /// <summary>Something of the content is to be committed yet. What a change that failed has left is none.</summary>
    public bool IsInFlight => Content is { IsClean: false };

    /// <summary>A consistent copy of <see cref="Current"/>.</summary>
    public Attributes Snapshot()
    {
        lock (this)
            return Current;
    }

    /// <summary>Keeps the object in memory. False when it has been dropped already: find it anew.</summary>
    public bool TryPin()
    {
        int pins = Volatile.Read(ref _pins);
        while (pins >= 0)
        {
            int seen = Interlocked.CompareExchange(ref _pins, pins + 1, pins);
            if (seen == pins)
                return true;
            pins = seen;
        }
        return false;
    }

    public void Unpin() => Interlocked.Decrement(ref _pins);

    /// <summary>Claims the object for dropping: true where nobody has it pinned, and then nobody can any more.</summary>
    public bool TryRetire() => Interlocked.CompareExchange(ref _pins, int.MinValue, 0) == 0;
}

/// <summary>What the row of an inode says of its content.</summary>
/// <param name="Size">Bytes.</param>
/// <param name="AllocatedBytes">Bytes of its blocks, holes left out.</param>
/// <param name="ModifyTime">When that content was written.</param>
internal readonly record struct CommittedContent(long Size, long AllocatedBytes, Timestamp ModifyTime);
