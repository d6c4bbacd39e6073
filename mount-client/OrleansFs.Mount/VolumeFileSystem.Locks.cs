using OrleansFs.Fuse;
using OrleansFs.Model;
using Errno = OrleansFs.Fuse.Errno;

namespace OrleansFs.Mount;

/// <summary>flock(2) and fcntl(2) locks, where they are not settled in the kernel, and their end.</summary>
internal sealed partial class VolumeFileSystem
{
    private readonly OpenFileLocks _openLocks = new();
    private long _openFiles;

    /// <summary>Gives an open file a number of its own, by which its locks end with it.</summary>
    private OpenReply Numbered(OpenReply reply)
    {
        if (!_policy.KernelLocks)
            reply.Handle = new FileHandle((reply.Handle.Value & RecordsHandle) | ((ulong)Interlocked.Increment(ref _openFiles) << 1));
        return reply;
    }

    public override ValueTask<FuseResult<Fuse.FileLock>> GetLk(FuseContext context, LockRequest request)
    {
        return Ask();

        async ValueTask<FuseResult<Fuse.FileLock>> Ask()
        {
            var result = await _volume.GetLockAsync(Translate.Inode(context.Node), LockOf(request), context.CancellationToken);
            return result.TryGet(out var held, out var error)
                ? new Fuse.FileLock(held.Start, held.End, (LockType)held.Kind, held.Pid)
                : Translate.Error(error);
        }
    }

    /// <summary>The one call that may wait for as long as another program likes: always cancellable.</summary>
    public override ValueTask<FuseResult> SetLk(FuseContext context, LockRequest request)
    {
        var call = _volume.SetLockAsync(Translate.Inode(context.Node), LockOf(request), request.Wait, context.CancellationToken);
        return request.IsFlock || (LockKind)request.Lock.Type == LockKind.Unlock ? Done(call) : Noted(call, context.Node, request.Handle, request.Owner);

        async ValueTask<FuseResult> Noted(ValueTask<FsResult> call, NodeId node, FileHandle file, ulong owner)
        {
            var result = await call;
            if (result.IsOk)
                _openLocks.Note(file, node, owner);
            return Done(result);
        }
    }

    public override ValueTask<FuseResult> Flush(FuseContext context, FlushRequest request)
    {
        if (_policy.KernelLocks)
            return new(FuseResult.Fail(Errno.ENOSYS));
        _openLocks.Closed(request.Handle, context.Node, request.LockOwner);
        return Done(_volume.FlushAsync(Translate.Inode(context.Node), request.LockOwner, Cancellation(context)));
    }

    private ValueTask<FuseResult> ReleaseLocks(NodeId node, ReleaseRequest request)
    {
        var owners = _openLocks.Released(request.Handle, node);
        bool hasFlock = (request.ReleaseFlags & ReleaseFlags.UnlockFlock) != 0;
        return owners.Count == 0 && !hasFlock ? new(FuseResult.Success) : Release(Translate.Inode(node));

        async ValueTask<FuseResult> Release(InodeNumber inode)
        {
            var result = hasFlock ? await UnlockAsync(request.LockOwner, wholeFile: true) : FsResult.Ok;
            foreach (ulong owner in owners)
            {
                var one = await UnlockAsync(owner, wholeFile: false);
                result = one.IsOk ? result : one;
            }
            return Done(result);

            ValueTask<FsResult> UnlockAsync(ulong owner, bool wholeFile) =>
                _volume.SetLockAsync(inode, new() { Kind = LockKind.Unlock, End = long.MaxValue, Owner = owner, WholeFile = wholeFile }, wait: false, CancellationToken.None);
        }
    }

    private static Model.FileLock LockOf(LockRequest request) => new()
    {
        Kind = (LockKind)request.Lock.Type,
        Start = request.Lock.Start,
        End = request.Lock.End,
        Pid = request.Lock.Pid,
        Owner = request.Owner,
        WholeFile = request.IsFlock,
    };
}
