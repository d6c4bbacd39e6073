using System.Runtime.CompilerServices;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>A record of an append-only file with its bytes.</summary>
/// <param name="Info">Which it is.</param>
/// <param name="Data">What was appended.</param>
public readonly record struct FileRecord(RecordInfo Info, ReadOnlyMemory<byte> Data);

/// <content>Append-only files and their records, and what has changed.</content>
public sealed partial class VolumeClient
{
    /// <summary>Makes an append-only file, where there is none. A file that is there becomes append-only; what it has is no record.</summary>
    public async ValueTask<FsResult> CreateAppendOnlyAsync(string path, CancellationToken cancellation = default)
    {
        if (!(await FindOrCreateAsync(path, cancellation)).TryGet(out var file, out var error))
            return error;
        return (file.Flags & InodeFlags.AppendOnly) != 0 ? FsResult.Ok : await _volume.SetXattrAsync(file.Inode, OwnXattr.AppendOnly.ToArray(), "1"u8.ToArray(), XattrFlags.None, cancellation);
    }

    /// <summary>
    /// Appends one record to an append-only file: 1 to <see cref="RecordLimits.MaxRecord"/> bytes, never interleaved with another, never split, never lost, and once. When it is answered it survives a loss of power;
    /// where <paramref name="durable"/> is false a kill of the copy's process only, which is quicker.
    /// </summary>
    public async ValueTask<FsResult<RecordInfo>> AppendAsync(string path, ReadOnlyMemory<byte> record, bool durable = true, CancellationToken cancellation = default) =>
        (await FindFileAsync(path, cancellation)).TryGet(out var file, out var error) ? await _volume.AppendAsync(file.Inode, record, null, durable, cancellation) : error;

    /// <summary>The records of a file from one on, in order, with their bytes.</summary>
    /// <param name="path">The file.</param>
    /// <param name="from">The sequence of the first: 0, or one more than that of the last one seen.</param>
    /// <param name="follow">At the end, waits for more until cancelled, and then ends.</param>
    /// <param name="cancellation">Ends it: <c>EINTR</c>; where it follows, without an error.</param>
    /// <returns>Records; an errno, once and last, where it cannot go on: <c>ESTALE</c> where <paramref name="from"/> is past the end, because the file was begun anew.</returns>
    public async IAsyncEnumerable<FsResult<FileRecord>> ReadRecordsAsync(string path, long from = 0, bool follow = false, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        if (!(await FindFileAsync(path, cancellation)).TryGet(out var file, out var error))
        {
            if (!follow || !cancellation.IsCancellationRequested)
                yield return error;
            yield break;
        }
        while (true)
        {
            if (!(await _volume.ListRecordsAsync(file.Inode, from, RecordLimits.MaxListed, cancellation)).TryGet(out var records, out error))
            {
                if (!follow || !cancellation.IsCancellationRequested)
                    yield return error;
                yield break;
            }
            foreach (var record in records)
            {
                var read = await ReadAsync(file.Inode, record, cancellation);
                if (!read.IsOk && follow && cancellation.IsCancellationRequested)
                    yield break;
                yield return read;
                if (!read.IsOk)
                    yield break;
                from = record.Sequence + 1;
            }
            if (records.Length > 0)
                continue;
            if (!follow || cancellation.IsCancellationRequested)
                yield break;
            var waited = await _volume.WaitForRecordAsync(file.Inode, from, cancellation);
            if (waited.IsOk)
                continue;
            if (waited.Error != Errno.EINTR)
                yield return waited.Error;
            yield break;
        }
    }

    /// <summary>What changes in a directory and all below it, as it is committed, in order.</summary>
    /// <param name="path">The directory.</param>
    /// <param name="after">Where to go on: <see cref="VolumeChange.Resume"/> of the last change seen; null for what comes from now on.</param>
    /// <param name="cancellation">Ends it, without an error.</param>
    /// <returns>Changes; an errno, once and last, where it cannot go on: <c>ESTALE</c> where the journal was cut past that position. Then look at everything anew, and go on from null.</returns>
    public async IAsyncEnumerable<FsResult<VolumeChange>> WatchAsync(string path, Lsn? after = null, [EnumeratorCancellation] CancellationToken cancellation = default)
    {
        if (!(await FindAsync(path, cancellation)).TryGet(out var directory, out var error))
        {
            if (!cancellation.IsCancellationRequested)
                yield return error;
            yield break;
        }
        while (true)
        {
            if (!(await _volume.ReadChangesAsync(directory.Inode, after, GrainInterfaces.Limits.MaxChanges, cancellation)).TryGet(out var page, out error))
            {
                if (!cancellation.IsCancellationRequested)
                    yield return error;
                yield break;
            }
            foreach (var change in page.Changes)
                yield return change;
            bool moved = after != page.Next;
            after = page.Next;
            if (moved && page.Changes.Length > 0)
                continue;
            var waited = await _volume.WaitForChangeAsync(page.Next, cancellation);
            if (waited.IsOk)
                continue;
            if (waited.Error != Errno.EINTR)
                yield return waited.Error;
            yield break;
        }
    }

    /// <summary>The position of the journal now: to watch from, before one looks at what there is.</summary>
    public async ValueTask<FsResult<Lsn>> PositionAsync(CancellationToken cancellation = default) =>
        (await _volume.ReadChangesAsync(InodeNumber.Root, null, 1, cancellation)).TryGet(out var page, out var error) ? page.Next : error;

    private async ValueTask<FsResult<FileRecord>> ReadAsync(InodeNumber inode, RecordInfo record, CancellationToken cancellation)
    {
        byte[] data = new byte[record.Length];
        var read = await _volume.ReadAsync(inode, record.Offset, data, cancellation);
        return !read.TryGet(out int length, out var error) ? error : length == data.Length ? new FileRecord(record, data) : Errno.EIO;
    }
}
