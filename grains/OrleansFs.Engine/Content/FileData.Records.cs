using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

/// <content>
/// Append-only files: each write that makes the file longer is one record. It becomes one under the file's gate, together with its data and its size, so that no two are ever interleaved.
/// </content>
internal sealed partial class FileData
{
    /// <summary>Told of each file that has got a record, with its gate held: must only signal.</summary>
    public Action<InodeNumber>? Recorded { get; set; }

    /// <summary>Appends one record to an append-only file. Not on disk yet: see <see cref="HardenAsync"/>.</summary>
    public async ValueTask<FsResult<RecordInfo>> AppendAsync(InodeNumber number, ReadOnlyMemory<byte> data, AppendName? name, CancellationToken cancellation)
    {
        var found = RequireRegular(_metadata.Acquire(number));
        if (!found.TryGet(out var inode, out var error))
            return error;
        var append = new Append(name);
        var written = await WriteOrWaitAsync(inode, 0, data, WriteFlags.Append, append, cancellation);
        return written.IsOk ? append.Made : written.Error;
    }

    /// <summary>What was written of a file so far survives a kill of this process: its content in the redo log or in blocks, the rest in the database. A loss of power it does not survive.</summary>
    public async ValueTask<FsResult> HardenAsync(Inode inode, CancellationToken cancellation)
    {
        if (!SyncsAsBlocks && await LogAsync(inode, cancellation) is { } logged)
            return logged.IsAll ? FsResult.Ok : await _committer.KeepAsync(cancellation);
        var settled = await SettleAsync(inode, SealedSync.Later, alongside: null, cancellation);
        if (settled.Error == Errno.ENOSPC)
        {
            await MakeRoom(cancellation);
            settled = await SettleAsync(inode, SealedSync.Later, alongside: null, cancellation);
        }
        return settled.IsOk ? await _committer.KeepAsync(cancellation) : settled;
    }

    /// <summary>Whether a write may become a record, and what came of it where it has been made before. Call with the gate held.</summary>
    /// <returns>Null where it is to be made.</returns>
    private FsResult<long>? CheckAppend(Inode inode, in Attributes attributes, long offset, int length, WriteFlags flags, Append? append)
    {
        bool isAppendOnly = (attributes.Flags & InodeFlags.AppendOnly) != 0;
        if (append is not null && !isAppendOnly)
            return Errno.EPERM;
        // What the page cache brings is what programs have written to it before, in whatever pieces: see the mount's chapter.
        if (!isAppendOnly || _isReplaying || (flags & WriteFlags.FromPageCache) != 0)
            return null;
        if ((attributes.Flags & InodeFlags.Immutable) != 0 || ((flags & WriteFlags.Append) == 0 && offset != attributes.Size))
            return Errno.EPERM;
        if (length > RecordLimits.MaxRecord)
            return Errno.EMSGSIZE;
        if (append?.Name is not { IsRepeated: true } name || _metadata.NewestAppend(inode.Number, name.Writer) is not var (number, record) || number < name.Number)
            return null;
        if (number > name.Number)
            return Errno.ESTALE;
        append.Made = record;
        return record.Offset;
    }

    /// <summary>Makes the record of what a write adds to a file. Call with the gate held, and then do the write.</summary>
    private Errno Record(Inode inode, long start, long end, Append? append)
    {
        var made = _metadata.AppendRecord(inode, start, end - start, append?.Name);
        if (!made.TryGet(out var record, out var error))
            return error;
        if (append is not null)
            append.Made = record;
        return Errno.None;
    }

    /// <summary>An append that wants to know its record.</summary>
    private sealed class Append(AppendName? name)
    {
        public AppendName? Name => name;

        public RecordInfo Made { get; set; }
    }
}
