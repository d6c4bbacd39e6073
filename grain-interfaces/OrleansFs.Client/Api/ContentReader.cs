using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>Content that is held open, read at any place. Thread-safe.</summary>
public sealed class ContentReader : IDisposable
{
    private readonly GrainVolumeAccess _volume;
    private readonly HeldContents _held;
    private int _isDisposed;

    internal ContentReader(GrainVolumeAccess volume, HeldContents held, ContentName name, ContentInfo info)
    {
        _volume = volume;
        _held = held;
        Name = name;
        Size = info.Size;
    }

    /// <summary>What it is.</summary>
    public ContentName Name { get; }

    /// <summary>Bytes.</summary>
    public long Size { get; }

    /// <summary>Reads up to the destination's length; fewer bytes only at the end. <c>ESTALE</c> where the copy was started anew and has the content no more.</summary>
    public async ValueTask<FsResult<int>> ReadAsync(long offset, Memory<byte> destination, CancellationToken cancellation = default)
    {
        var result = await _volume.ReadAsync(Name, offset, destination, cancellation);
        if (result.Error != Errno.EBADF)
            return result;
        // A copy that was started anew holds nothing of what it held.
        var held = await _volume.HoldAsync(Name, cancellation);
        return held.Error == Errno.ENOENT ? Errno.ESTALE : held.IsOk ? await _volume.ReadAsync(Name, offset, destination, cancellation) : held.Error;
    }

    /// <summary>Copies all of it, or a range, to a stream, a piece at a time. Exceptions of the stream come through.</summary>
    public async ValueTask<FsResult> CopyToAsync(Stream target, long offset = 0, long length = long.MaxValue, CancellationToken cancellation = default)
    {
        byte[] buffer = new byte[(int)Math.Clamp(Size - offset, 1, GrainInterfaces.Limits.MaxTransfer)];
        for (long end = length >= Size - offset ? Size : offset + length; offset < end;)
        {
            var read = await ReadAsync(offset, buffer.AsMemory(0, (int)Math.Min(buffer.Length, end - offset)), cancellation);
            if (!read.TryGet(out int n, out var error))
                return error;
            try
            {
                await target.WriteAsync(buffer.AsMemory(0, n), cancellation);
            }
            catch (OperationCanceledException) when (cancellation.IsCancellationRequested)
            {
                return Errno.EINTR;
            }
            offset += n;
        }
        return FsResult.Ok;
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _isDisposed, 1) == 0)
            _held.Release(_volume, Name);
    }
}

/// <summary>Which content a client has open, and how often: the copy holds a content once for a session. Thread-safe.</summary>
internal sealed class HeldContents
{
    private readonly Lock _lock = new();
    private readonly Dictionary<ContentName, int> _open = [];

    public async ValueTask<FsResult<ContentInfo>> HoldAsync(GrainVolumeAccess volume, ContentName name, CancellationToken cancellation)
    {
        lock (_lock)
            _open[name] = _open.GetValueOrDefault(name) + 1;
        var held = await volume.HoldAsync(name, cancellation);
        if (!held.IsOk)
            Release(volume, name);
        return held;
    }

    public void Release(GrainVolumeAccess volume, ContentName name)
    {
        lock (_lock)
        {
            int left = _open[name] - 1;
            if (left > 0)
            {
                _open[name] = left;
                return;
            }
            _open.Remove(name);
        }
        volume.Release(name);
    }
}
