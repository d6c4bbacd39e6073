using System.Buffers;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Protocol;

namespace OrleansFs.Fuse.Transport;

/// <summary>Notifications on their way to the kernel: a bounded queue, and the one thread that writes them to /dev/fuse.</summary>
/// <remarks>An invalidation waits in the kernel for locks on the inode and its pages, which a request holds that waits for this process: hence the thread.</remarks>
internal sealed unsafe partial class NotificationQueue : FuseNotifier
{
    private readonly object _gate = new();
    private readonly Queue<Item> _items = new();
    private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly ILogger _logger;
    private readonly int _fd;
    private readonly int _maxItems;
    private readonly int _maxStore;
    private long _bytes;
    private long _sent;
    private bool _stopped;

    private readonly record struct Item(byte[] Message, int Length, TaskCompletionSource? Marker);

    internal NotificationQueue(int fd, int maxItems, int maxStore, ILogger logger)
    {
        _fd = fd;
        _maxItems = maxItems;
        _maxStore = maxStore;
        _logger = logger;
    }

    /// <summary>Completes when the thread is gone.</summary>
    internal Task Done => _done.Task;

    internal long Sent => Volatile.Read(ref _sent);

    /// <summary>The kernel knows FUSE_NOTIFY_PRUNE (7.45).</summary>
    internal bool CanPrune { get; set; }

    internal void Start() => new Thread(Run) { IsBackground = true, Name = "fuse-notify" }.Start();

    /// <summary>Ends the thread; what is queued is dropped.</summary>
    internal void Stop()
    {
        lock (_gate)
        {
            _stopped = true;
            Monitor.PulseAll(_gate);
        }
    }

    public override bool IsGone
    {
        get
        {
            lock (_gate)
                return _stopped;
        }
    }

    public override bool TryInvalidateInode(NodeId node, long offset = 0, long length = 0) =>
        TryEnqueue(FuseNotifyCode.FUSE_NOTIFY_INVAL_INODE, new NotifyInvalInodeOut { ino = node.Value, off = offset, len = length }, default, false);

    [SkipLocalsInit]
    public override bool InvalidateAttributes(NodeId node)
    {
        int length = OutHeader.Size + sizeof(NotifyInvalInodeOut);
        byte* message = stackalloc byte[length];
        var span = new Span<byte>(message, length);
        MemoryMarshal.Write(span, new OutHeader { len = (uint)length, error = (int)FuseNotifyCode.FUSE_NOTIFY_INVAL_INODE });
        MemoryMarshal.Write(span[OutHeader.Size..], new NotifyInvalInodeOut { ino = node.Value, off = -1 });
        // Not past the end, after which the descriptor is closed.
        lock (_gate)
        {
            if (_stopped)
                return false;
            Send(message, length);
            return true;
        }
    }

    public override bool TryInvalidateEntry(NodeId parent, ReadOnlySpan<byte> name, bool expireOnly = false)
    {
        CheckName(name);
        NotifyInvalEntryOut head = new() { parent = parent.Value, namelen = (uint)name.Length, flags = expireOnly ? NotifyInvalEntryOut.FUSE_EXPIRE_ONLY : 0 };
        return TryEnqueue(FuseNotifyCode.FUSE_NOTIFY_INVAL_ENTRY, head, name, true);
    }

    public override bool TryDelete(NodeId parent, NodeId child, ReadOnlySpan<byte> name)
    {
        CheckName(name);
        NotifyDeleteOut head = new() { parent = parent.Value, child = child.Value, namelen = (uint)name.Length };
        return TryEnqueue(FuseNotifyCode.FUSE_NOTIFY_DELETE, head, name, true);
    }

    public override bool TryPrune(NodeId node)
    {
        Span<byte> id = stackalloc byte[sizeof(ulong)];
        BitConverter.TryWriteBytes(id, node.Value);
        return CanPrune && TryEnqueue(FuseNotifyCode.FUSE_NOTIFY_PRUNE, new NotifyPruneOut { count = 1 }, id, false);
    }

    public override bool TryStore(NodeId node, long offset, ReadOnlySpan<byte> data)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(offset);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(data.Length, _maxStore);
        NotifyStoreOut head = new() { nodeid = node.Value, offset = (ulong)offset, size = (uint)data.Length };
        return TryEnqueue(FuseNotifyCode.FUSE_NOTIFY_STORE, head, data, false);
    }

    public override bool TryPollWakeup(ulong kernelHandle) =>
        TryEnqueue(FuseNotifyCode.FUSE_NOTIFY_POLL, new NotifyPollWakeupOut { kh = kernelHandle }, default, false);

    public override Task FlushAsync(CancellationToken cancellationToken = default)
    {
        TaskCompletionSource marker = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_gate)
        {
            if (_stopped)
                return Task.CompletedTask;
            _items.Enqueue(new Item([], 0, marker));
            Monitor.Pulse(_gate);
        }
        return marker.Task.WaitAsync(cancellationToken);
    }

    private static void CheckName(ReadOnlySpan<byte> name)
    {
        ArgumentOutOfRangeException.ThrowIfZero(name.Length);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(name.Length, 255);
    }

    /// <summary>struct fuse_out_header with the code for an error and no unique, the fixed part, the tail and where it is a name a NUL.</summary>
    private bool TryEnqueue<T>(FuseNotifyCode code, T head, ReadOnlySpan<byte> tail, bool nul)
        where T : unmanaged
    {
        int length = OutHeader.Size + sizeof(T) + tail.Length + (nul ? 1 : 0);
        lock (_gate)
        {
            if (_stopped || _items.Count >= _maxItems || _bytes + length > Limits.MaxQueuedNotificationBytes)
                return false;
            byte[] message = ArrayPool<byte>.Shared.Rent(length);
            MemoryMarshal.Write(message, new OutHeader { len = (uint)length, error = (int)code });
            MemoryMarshal.Write(message.AsSpan(OutHeader.Size), in head);
            tail.CopyTo(message.AsSpan(OutHeader.Size + sizeof(T)));
            if (nul)
                message[length - 1] = 0;
            _bytes += length;
            _items.Enqueue(new Item(message, length, null));
            Monitor.Pulse(_gate);
            return true;
        }
    }

    private void Run()
    {
        try
        {
            while (TryTake(out Item item))
            {
                if (item.Marker is not null)
                {
                    item.Marker.SetResult();
                    continue;
                }
                Send(item);
                ArrayPool<byte>.Shared.Return(item.Message);
            }
        }
        catch (Exception exception)
        {
            LogFailed(_logger, exception);
            Stop();
        }
        finally
        {
            DropAll();
            _done.SetResult();
        }
    }

    private bool TryTake(out Item item)
    {
        lock (_gate)
        {
            while (_items.Count == 0 && !_stopped)
                Monitor.Wait(_gate);
            if (_stopped)
            {
                item = default;
                return false;
            }
            item = _items.Dequeue();
            _bytes -= item.Length;
            return true;
        }
    }

    private void Send(Item item)
    {
        fixed (byte* message = item.Message)
            Send(message, item.Length);
    }

    private void Send(byte* message, int length)
    {
        nint written = Libc.Write(_fd, message, (nuint)length);
        if (written >= 0)
        {
            Interlocked.Increment(ref _sent);
            return;
        }
        Errno error = Libc.LastError;
        // ENOENT: the kernel does not know the node or the name, which is as good. ENOTEMPTY and EBUSY: a directory in use stays, as it must.
        if (error is Errno.ENOENT or Errno.ENOTEMPTY or Errno.EBUSY or Errno.ENOTDIR)
            Interlocked.Increment(ref _sent);
        else if (error is Errno.ENODEV or Errno.ENOTCONN or Errno.ECONNABORTED)
            Stop();
        else
            LogNotTaken(_logger, (FuseNotifyCode)Unsafe.ReadUnaligned<int>(message + 4), error);
    }

    private void DropAll()
    {
        lock (_gate)
        {
            _stopped = true;
            while (_items.TryDequeue(out Item item))
                item.Marker?.SetResult();
            _bytes = 0;
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "the kernel did not take a {Code}: {Error}")]
    private static partial void LogNotTaken(ILogger logger, FuseNotifyCode code, Errno error);

    [LoggerMessage(Level = LogLevel.Critical, Message = "the thread for notifications failed")]
    private static partial void LogFailed(ILogger logger, Exception exception);
}
