using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <content>The records of append-only files.</content>
public sealed partial class LocalSession : IRecordAccess
{
    public ValueTask<FsResult<RecordInfo>> AppendAsync(InodeNumber inode, ReadOnlyMemory<byte> data, AppendName? name, bool durable, CancellationToken cancellation) =>
        _volume.AppendAsync(inode, data, name, durable, cancellation);

    public ValueTask<FsResult<RecordInfo[]>> ListRecordsAsync(InodeNumber inode, long from, int max, CancellationToken cancellation) => new(_volume.ListRecords(inode, from, max));

    public ValueTask<FsResult> WaitForRecordAsync(InodeNumber inode, long sequence, CancellationToken cancellation) => _volume.WaitForRecordAsync(inode, sequence, cancellation);
}
