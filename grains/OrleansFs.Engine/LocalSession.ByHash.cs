using OrleansFs.Engine.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <content>Content by its hash, held for this session.</content>
public sealed partial class LocalSession
{
    private readonly Lock _holding = new();
    private readonly Dictionary<ContentName, HeldContent> _held = [];
    private bool _isEnded;

    public async ValueTask<FsResult<ContentInfo>> HoldAsync(ContentName content, CancellationToken cancellation)
    {
        lock (_holding)
        {
            if (_held.TryGetValue(content, out var held))
                return InfoOf(held);
        }
        var result = await _volume.HoldAsync(content, cancellation);
        if (!result.TryGet(out var found, out var error))
            return error;
        lock (_holding)
        {
            // Another call may have found it meanwhile, and the session may have ended.
            if (_isEnded || !_held.TryAdd(content, found))
                _volume.Release(found);
            return _isEnded ? Errno.ENOTCONN : InfoOf(found);
        }
    }

    public ValueTask<FsResult<int>> ReadAsync(ContentName content, long offset, Memory<byte> destination, CancellationToken cancellation)
    {
        HeldContent? held;
        lock (_holding)
        {
            if (!_held.TryGetValue(content, out held))
                return new(Errno.EBADF);
        }
        return _volume.ReadAsync(held, offset, destination, cancellation);
    }

    public void Release(ContentName content)
    {
        lock (_holding)
        {
            if (_held.Remove(content, out var held))
                _volume.Release(held);
        }
    }

    private void ReleaseAll()
    {
        lock (_holding)
        {
            _isEnded = true;
            foreach (var held in _held.Values)
                _volume.Release(held);
            _held.Clear();
        }
    }

    private static ContentInfo InfoOf(HeldContent content) => new() { Size = content.Size, AllocatedBytes = content.AllocatedBytes };
}
