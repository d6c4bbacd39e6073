using System.Buffers;
using System.Collections.Concurrent;
using Microsoft.AspNetCore.Connections;
using Orleans.Serialization;
using Orleans.Serialization.Invocation;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client.Direct;

/// <summary>A mount's end of a direct connection. Thread-safe.</summary>
internal sealed class DirectCaller : DirectConnection, IAsyncDisposable
{
    private readonly ConcurrentDictionary<long, PendingCall> _pending = new();
    private readonly CopyName _copy;
    private readonly TimeProvider _time;
    private readonly ITimer _expiry;
    private readonly Task _reading;
    private long _last;
    private volatile bool _isClosed;

    /// <param name="context">A connection on which the copy has accepted the greeting.</param>
    /// <param name="serializer">Writes requests, reads responses.</param>
    /// <param name="copy">The copy at the other end.</param>
    /// <param name="time">The clock.</param>
    public DirectCaller(ConnectionContext context, Serializer serializer, CopyName copy, TimeProvider time)
        : base(context, serializer)
    {
        _copy = copy;
        _time = time;
        _expiry = time.CreateTimer(_ => Expire(), null, Limits.DirectExpiry, Limits.DirectExpiry);
        _reading = RunAsync();
    }

    /// <summary>Completes when the connection has ended.</summary>
    public Task Ended => _reading;

    /// <summary>Calls a grain of the copy.</summary>
    /// <param name="request">What. Its cancellation is passed on to the copy, whose answer is awaited.</param>
    /// <param name="target">Which grain.</param>
    /// <param name="inode">Which inode's, for a <see cref="DirectTarget.File"/>.</param>
    /// <exception cref="CopyAwayException">The connection ended, and whether it was done is not known.</exception>
    /// <exception cref="TimeoutException">There is no answer in the time that the call has.</exception>
    public async Task<Response> CallAsync(IInvokable request, DirectTarget target, ulong inode)
    {
        var cancellation = request.GetCancellationToken();
        cancellation.ThrowIfCancellationRequested();
        long number = Interlocked.Increment(ref _last);
        var call = new PendingCall(_time.GetTimestamp(), request.GetDefaultResponseTimeout() ?? GrainInterfaces.Limits.CallTimeout);
        _pending[number] = call;
        if (_isClosed)
            FailAll();
        try
        {
            await SendAsync(FrameKind.Call, target, number, inode, request);
            call.IsSent = true;
        }
        catch (ConnectionAbortedException)
        {
            _pending.TryRemove(number, out _);
            throw new CopyAwayException(_copy);
        }
        if (!cancellation.CanBeCanceled)
            return await call.Task;
        await using (cancellation.UnsafeRegister(_ => _ = CancelAsync(number), null))
            return await call.Task;
    }

    public async ValueTask DisposeAsync()
    {
        Context.Abort(new ConnectionAbortedException("the mount has no more to ask"));
        await _reading;
        await _expiry.DisposeAsync();
        await Context.DisposeAsync();
    }

    protected override IThreadPoolWorkItem? Take(DirectFrame frame, ReadOnlySequence<byte> body, Payload content)
    {
        // One that nobody waits for any more.
        if (frame.Kind != FrameKind.Reply || !_pending.TryRemove(frame.Call, out var call))
            return null;
        try
        {
            call.Response = Read<Response>(body, content);
        }
        catch (Exception e)
        {
            call.Response = Response.FromException(e);
        }
        return call;
    }

    private async Task RunAsync()
    {
        try
        {
            await ReadAsync();
        }
        catch (Exception e)
        {
            // However it ends, who waits hears that it has.
            Context.Abort(new ConnectionAbortedException(e.Message, e));
        }
        _isClosed = true;
        FailAll();
    }

    private async Task CancelAsync(long number)
    {
        try
        {
            await SendAsync<IInvokable>(FrameKind.Cancel, default, number, 0, null);
        }
        catch (ConnectionAbortedException)
        {
            // Then the call fails by that.
        }
    }

    private void FailAll()
    {
        foreach (long number in _pending.Keys)
        {
            if (_pending.TryRemove(number, out var call))
                call.Fail(new CopyAwayException(_copy));
        }
    }

    private void Expire()
    {
        foreach (var (number, call) in _pending)
        {
            if (_time.GetElapsedTime(call.Begun) <= call.Patience || !_pending.TryRemove(number, out _))
                continue;
            call.Fail(new TimeoutException($"the copy '{_copy}' did not answer within {call.Patience}"));
            // Who called waits for the sending still, as do all behind it. Another connection may get through.
            if (!call.IsSent)
                Context.Abort(new ConnectionAbortedException($"nothing could be sent to the copy '{_copy}' for {call.Patience}"));
        }
    }

    /// <summary>Who waits goes on in the thread that has read the answer.</summary>
    private sealed class PendingCall(long begun, TimeSpan patience) : IThreadPoolWorkItem
    {
        private readonly TaskCompletionSource<Response> _answer = new();
        private bool _isSent;

        public long Begun => begun;

        public TimeSpan Patience => patience;

        /// <summary>The request has gone out as a whole.</summary>
        public bool IsSent { get => Volatile.Read(ref _isSent); set => Volatile.Write(ref _isSent, value); }

        public Response? Response { get; set; }

        public Task<Response> Task => _answer.Task;

        public void Fail(Exception reason) => ThreadPool.UnsafeQueueUserWorkItem(_ => _answer.TrySetException(reason), null);

        public void Execute() => _answer.TrySetResult(Response!);
    }
}
