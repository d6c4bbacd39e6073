using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Replication;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <content>The records of append-only files.</content>
public sealed partial class VolumeCopy
{
    private readonly RecordSignals _recorded = new();

    internal async ValueTask<FsResult<RecordInfo>> AppendAsync(InodeNumber inode, ReadOnlyMemory<byte> data, AppendName? name, bool durable, CancellationToken cancellation)
    {
        if (RefusesChanges)
            return Errno.EROFS;
        if (data.IsEmpty)
            return Errno.EINVAL;
        if (data.Length > RecordLimits.MaxRecord)
            return Errno.EMSGSIZE;
        var appended = await _files.AppendAsync(inode, data, name, cancellation);
        if (!appended.IsOk)
            return appended;
        // The record is there: what follows is not given up halfway.
        var kept = durable ? await SyncAsync(inode, SyncCopies, CancellationToken.None) : await HardenAsync(inode);
        return kept.IsOk ? appended : kept.Error;
    }

    internal FsResult<RecordInfo[]> ListRecords(InodeNumber inode, long from, int max)
    {
        if (from < 0 || max < 1)
            return Errno.EINVAL;
        var listed = Readable(inode, from, max);
        try
        {
            return listed.IsOk && listed.Value.Length == 0 && from > _metadata.RecordCount(inode) ? Errno.ESTALE : listed;
        }
        catch (MetadataException e)
        {
            return e.Error;
        }
    }

    internal async ValueTask<FsResult> WaitForRecordAsync(InodeNumber inode, long sequence, CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                var next = _recorded.Next(inode);
                if (!Readable(inode, sequence, 1).TryGet(out var records, out var error))
                    return error;
                if (records.Length > 0)
                    return FsResult.Ok;
                await next.WaitAsync(cancellation);
            }
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
    }

    /// <summary>Records whose content this copy has.</summary>
    private FsResult<RecordInfo[]> Readable(InodeNumber inode, long from, int max)
    {
        if (!_metadata.GetAttributes(inode).TryGet(out var attributes, out var error))
            return error;
        if (!attributes.IsRegular)
            return attributes.IsDirectory ? Errno.EISDIR : Errno.EINVAL;
        try
        {
            return _metadata.Records(inode, from, max, attributes.Size).ToArray();
        }
        catch (MetadataException e)
        {
            return e.Error;
        }
    }

    private async ValueTask<FsResult> HardenAsync(InodeNumber number)
    {
        if (_metadata.Acquire(number) is not { } inode)
            return Errno.ESTALE;
        try
        {
            return await _files.HardenAsync(inode, CancellationToken.None);
        }
        catch (MetadataException e)
        {
            return e.Error;
        }
        finally
        {
            _metadata.Release(inode);
        }
    }

    private void SignalRecords(VolumeChanges changes)
    {
        if (changes.Everything)
            _recorded.SignalAll();
        foreach (var inode in changes.Inodes)
            _recorded.Signal(inode);
    }
}
