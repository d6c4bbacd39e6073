namespace OrleansFs.Fuse.Tests.MemoryFs;

/// <summary>Extended attributes and locks.</summary>
internal sealed partial class MemoryFileSystem
{
    private readonly List<HeldLock> _locks = [];
    private TaskCompletionSource _lockReleased = new(TaskCreationOptions.RunContinuationsAsynchronously);

    private readonly record struct HeldLock(ulong Node, ulong Owner, bool IsFlock, FileLock Range);

    /// <summary>Lock requests that wait.</summary>
    internal SemaphoreSlim LockWaits { get; } = new(0);

    public override ValueTask<FuseResult> SetXAttr(FuseContext context, SetXAttrRequest request)
    {
        lock (_gate)
        {
            Dictionary<string, byte[]> all = _nodes[context.Node.Value].XAttrs;
            string name = MemoryNode.Text(request.Name.Span);
            bool exists = all.ContainsKey(name);
            if (exists && (request.Flags & XAttrFlags.Create) != 0)
                return FuseResult.Fail(Errno.EEXIST);
            if (!exists && (request.Flags & XAttrFlags.Replace) != 0)
                return FuseResult.Fail(Errno.ENODATA);
            all[name] = request.Value.ToArray();
            return FuseResult.Success;
        }
    }

    public override ValueTask<FuseResult<int>> GetXAttr(FuseContext context, ReadOnlyMemory<byte> name, Memory<byte> destination)
    {
        lock (_gate)
        {
            if (!_nodes[context.Node.Value].XAttrs.TryGetValue(MemoryNode.Text(name.Span), out byte[]? value))
                return FuseResult.Fail<int>(Errno.ENODATA);
            value.AsMemory().TryCopyTo(destination);
            // The name must still be what it was: on io_uring the reply lies over the request.
            return _nodes[context.Node.Value].XAttrs.ContainsKey(MemoryNode.Text(name.Span)) ? FuseResult.Ok(value.Length) : FuseResult.Fail<int>(Errno.EIO);
        }
    }

    public override ValueTask<FuseResult<int>> ListXAttr(FuseContext context, Memory<byte> destination)
    {
        lock (_gate)
        {
            byte[] list = [.. _nodes[context.Node.Value].XAttrs.Keys.SelectMany(k => System.Text.Encoding.Latin1.GetBytes(k + '\0'))];
            list.AsMemory().TryCopyTo(destination);
            return FuseResult.Ok(list.Length);
        }
    }

    public override ValueTask<FuseResult> RemoveXAttr(FuseContext context, ReadOnlyMemory<byte> name)
    {
        lock (_gate)
            return _nodes[context.Node.Value].XAttrs.Remove(MemoryNode.Text(name.Span)) ? FuseResult.Success : FuseResult.Fail(Errno.ENODATA);
    }

    public override ValueTask<FuseResult<FileLock>> GetLk(FuseContext context, LockRequest request)
    {
        lock (_gate)
            return FuseResult.Ok(Conflict(context.Node.Value, request)?.Range ?? request.Lock with { Type = LockType.Unlock });
    }

    public override ValueTask<FuseResult> SetLk(FuseContext context, LockRequest request)
    {
        lock (_gate)
        {
            if (TryLock(context.Node.Value, request))
                return FuseResult.Success;
            if (!request.Wait)
                return FuseResult.Fail(Errno.EAGAIN);
        }
        return WaitForLock(context, request);
    }

    private async ValueTask<FuseResult> WaitForLock(FuseContext context, LockRequest request)
    {
        CancellationToken token = context.CancellationToken;
        LockWaits.Release();
        while (true)
        {
            Task released;
            lock (_gate)
            {
                if (TryLock(context.Node.Value, request))
                    return FuseResult.Success;
                released = _lockReleased.Task;
            }
            try
            {
                await released.WaitAsync(token);
            }
            catch (OperationCanceledException)
            {
                return Errno.EINTR;
            }
        }
    }

    private bool TryLock(ulong node, LockRequest request)
    {
        if (request.Lock.Type == LockType.Unlock)
        {
            Cut(node, request);
            return true;
        }
        if (Conflict(node, request) is not null)
            return false;
        Cut(node, request);
        _locks.Add(new HeldLock(node, request.Owner, request.IsFlock, request.Lock));
        return true;
    }

    private HeldLock? Conflict(ulong node, LockRequest request)
    {
        foreach (HeldLock held in _locks)
        {
            bool other = held.Node == node && held.IsFlock == request.IsFlock && held.Owner != request.Owner;
            bool exclusive = held.Range.Type == LockType.Write || request.Lock.Type == LockType.Write;
            if (other && exclusive && Overlap(held.Range, request.Lock))
                return held;
        }
        return null;
    }

    /// <summary>Takes a range out of what the owner holds.</summary>
    private void Cut(ulong node, LockRequest request)
    {
        foreach (HeldLock held in _locks.Where(h => h.Node == node && h.IsFlock == request.IsFlock && h.Owner == request.Owner && Overlap(h.Range, request.Lock)).ToArray())
        {
            _locks.Remove(held);
            if (held.Range.Start < request.Lock.Start)
                _locks.Add(held with { Range = held.Range with { End = request.Lock.Start - 1 } });
            if (held.Range.End > request.Lock.End)
                _locks.Add(held with { Range = held.Range with { Start = request.Lock.End + 1 } });
        }
        WakeLockWaiters();
    }

    private void Unlock(ulong node, ulong owner, bool isFlock)
    {
        if (_locks.RemoveAll(h => h.Node == node && h.Owner == owner && h.IsFlock == isFlock) > 0)
            WakeLockWaiters();
    }

    private void WakeLockWaiters()
    {
        _lockReleased.TrySetResult();
        _lockReleased = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
    }

    private static bool Overlap(FileLock a, FileLock b) => a.Start <= b.End && b.Start <= a.End;
}
