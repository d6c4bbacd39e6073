using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>
/// The records of append-only files. An append is not kept here as other writes are: the copy answers when it survives a kill. One whose answer was lost is asked for again by the same number, which a copy that was
/// started anew finds with the file.
/// </content>
public sealed partial class GrainVolumeAccess : IRecordAccess
{
    private readonly SemaphoreSlim[] _appending = [.. Enumerable.Range(0, Limits.AppendStripes).Select(_ => new SemaphoreSlim(1))];
    private long _appended;

    /// <param name="inode">The file.</param>
    /// <param name="data">The record, lent: it is copied.</param>
    /// <param name="name">Not used: the session is the writer.</param>
    /// <param name="durable">Whether it is to survive a loss of power when it is answered.</param>
    /// <param name="cancellation">Gives up where nothing was done yet.</param>
    public async ValueTask<FsResult<RecordInfo>> AppendAsync(InodeNumber inode, ReadOnlyMemory<byte> data, AppendName? name, bool durable, CancellationToken cancellation)
    {
        byte[] sent = data.ToArray();
        // One append to a file at a time: the copy remembers the newest of a writer.
        var turn = _appending[(int)(inode.Value % (ulong)_appending.Length)];
        try
        {
            await turn.WaitAsync(cancellation);
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        try
        {
            long number = Interlocked.Increment(ref _appended);
            int attempts = 0;
            return await _session.ChangeAsync((request, token) => Records(inode).AppendAsync(request, number, attempts++ > 0, sent, durable, token), cancellation);
        }
        finally
        {
            turn.Release();
        }
    }

    public ValueTask<FsResult<RecordInfo[]>> ListRecordsAsync(InodeNumber inode, long from, int max, CancellationToken cancellation) =>
        _session.AskAsync((ticket, token) => Records(inode).ListAsync(ticket, from, Math.Min(max, RecordLimits.MaxListed), token), cancellation);

    public async ValueTask<FsResult> WaitForRecordAsync(InodeNumber inode, long sequence, CancellationToken cancellation)
    {
        FsResult result;
        do
            result = await _session.AskAsync((ticket, token) => Records(inode).WaitAsync(ticket, sequence, token), cancellation);
        while (result.Error == Errno.EAGAIN && !cancellation.IsCancellationRequested);
        return result.Error == Errno.EAGAIN ? Errno.EINTR : result;
    }

    /// <summary>A write by a mount that is a record. <c>EPERM</c> where the file is append-only no more.</summary>
    private async ValueTask<FsResult<long>> WriteRecordAsync(InodeNumber inode, ReadOnlyMemory<byte> data, CancellationToken cancellation) =>
        (await AppendAsync(inode, data, null, false, cancellation)).TryGet(out var record, out var error) ? record.Offset : error;

    private IRecordGrain Records(InodeNumber inode) => _session.Grains.GetGrain<IRecordGrain>(new FileKey(inode, Copy.Copy).ToString());
}
