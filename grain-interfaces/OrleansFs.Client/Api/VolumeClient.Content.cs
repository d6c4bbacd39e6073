using System.Buffers;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>Content by its hash.</content>
public sealed partial class VolumeClient
{
    /// <summary>Puts content, which no file has yet, for a time. On disk when it is answered; deduplicated with everything there is. <c>ESTALE</c> where the copy was started anew meanwhile: put it again.</summary>
    /// <param name="data">The content.</param>
    /// <param name="lease">How long it stays, up to <see cref="LeaseLimits.Longest"/>.</param>
    /// <param name="cancellation">Gives up; nothing stays.</param>
    public ValueTask<FsResult<ContentLease>> PutAsync(ReadOnlyMemory<byte> data, TimeSpan lease, CancellationToken cancellation = default) =>
        PutAsync(async inode => (await _volume.WriteAsync(inode, 0, data, WriteFlags.None, cancellation)).Error, lease, cancellation);

    /// <summary>The same, of a stream of any length. Exceptions of the stream come through.</summary>
    public ValueTask<FsResult<ContentLease>> PutAsync(Stream data, TimeSpan lease, CancellationToken cancellation = default)
    {
        return PutAsync(WriteAsync, lease, cancellation);

        async ValueTask<Errno> WriteAsync(InodeNumber inode)
        {
            byte[] buffer = ArrayPool<byte>.Shared.Rent(GrainInterfaces.Limits.MaxTransfer);
            try
            {
                long at = 0;
                while (await data.ReadAtLeastAsync(buffer.AsMemory(0, GrainInterfaces.Limits.MaxTransfer), GrainInterfaces.Limits.MaxTransfer, throwOnEndOfStream: false, cancellation) is var read and > 0)
                {
                    var written = await _volume.WriteAsync(inode, at, buffer.AsMemory(0, read), WriteFlags.None, cancellation);
                    if (!written.IsOk)
                        return written.Error;
                    at += read;
                }
                return Errno.None;
            }
            finally
            {
                ArrayPool<byte>.Shared.Return(buffer);
            }
        }
    }

    /// <summary>Keeps content for a time from now on. <c>ESTALE</c> where its lease has ended, <c>EINVAL</c> where it is a file now.</summary>
    public ValueTask<FsResult<ContentLease>> RenewAsync(ContentLease content, TimeSpan lease, CancellationToken cancellation = default) => _volume.LeaseAsync(content.Holder, lease, cancellation);

    /// <summary>Makes a file of content: from then on it stays as long as that. <c>EEXIST</c> where there is something of that name, <c>ESTALE</c> where the lease has ended.</summary>
    public async ValueTask<FsResult> LinkAsync(ContentLease content, string path, CancellationToken cancellation = default)
    {
        if (!(await FindParentAsync(path, cancellation)).TryGet(out var place, out var error))
            return error;
        var linked = await _volume.LinkAsync(content.Holder, place.Directory, place.Name, cancellation);
        return linked.Error == Errno.ENOENT ? Errno.ESTALE : linked.Error;
    }

    /// <summary>Lets content go before its time.</summary>
    public ValueTask<FsResult> EndLeaseAsync(ContentLease content, CancellationToken cancellation = default) => _volume.EndLeaseAsync(content.Holder, cancellation);

    /// <summary>Content by its hash, to be read at any place, which stays readable until the reader is disposed of. <c>ENOENT</c>.</summary>
    public ValueTask<FsResult<ContentReader>> OpenAsync(BlockHash hash, CancellationToken cancellation = default) => OpenAsync(new ContentName(ContentKind.File, hash), cancellation);

    /// <summary>The same, of a file's content or of one block.</summary>
    public async ValueTask<FsResult<ContentReader>> OpenAsync(ContentName content, CancellationToken cancellation = default)
    {
        var held = await _held.HoldAsync(_volume, content, cancellation);
        return held.TryGet(out var info, out var error) ? new ContentReader(_volume, _held, content, info) : error;
    }

    /// <summary>All of some content. <c>ENOENT</c>; <c>EFBIG</c> past <paramref name="max"/> bytes.</summary>
    public async ValueTask<FsResult<byte[]>> GetAsync(BlockHash hash, int max = 64 << 20, CancellationToken cancellation = default)
    {
        if (!(await OpenAsync(hash, cancellation)).TryGet(out var reader, out var error))
            return error;
        using (reader)
        {
            if (reader.Size > max)
                return Errno.EFBIG;
            byte[] content = new byte[reader.Size];
            var read = await reader.ReadAsync(0, content, cancellation);
            return read.IsOk ? content : read.Error;
        }
    }

    private readonly HeldContents _held = new();

    private async ValueTask<FsResult<ContentLease>> PutAsync(Func<InodeNumber, ValueTask<Errno>> write, TimeSpan lease, CancellationToken cancellation)
    {
        var made = await _volume.CreateUnnamedAsync(InodeNumber.Root, new NewInode { Mode = FileMode }, _caller, cancellation);
        if (!made.TryGet(out var file, out var error))
            return error;
        _making.Add(file.Inode);
        try
        {
            error = await write(file.Inode);
            return error == Errno.None ? await _volume.LeaseAsync(file.Inode, lease, cancellation) : error;
        }
        catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
        {
            return Errno.EINTR; // the stream was asked by the same cancellation
        }
        finally
        {
            _making.Remove(file.Inode);
            _volume.Forget(file.Inode);
        }
    }
}
