using System.Buffers;
using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Orleans.Serialization;
using Orleans.Serialization.Invocation;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client.Direct;

/// <summary>A copy's end of a direct connection.</summary>
[SuppressMessage("Design", "CA1001", Justification = "A semaphore whose handle nobody asks for holds nothing, and who answers may outlive the connection.")]
internal sealed partial class DirectCallee(ConnectionContext context, Serializer serializer, IDirectTargets targets, ILogger logger) : DirectConnection(context, serializer)
{
    private readonly ConcurrentDictionary<long, IInvokable> _underWay = new();
    private readonly SemaphoreSlim _places = new(Limits.DirectCalls);
    private int _owed;

    /// <summary>Answers until the connection ends.</summary>
    public async Task RunAsync()
    {
        try
        {
            await ReadAsync();
        }
        catch (ConnectionResetException)
        {
            // The mount is gone.
        }
        catch (ConnectionAbortedException)
        {
            // Or this silo goes.
        }
        catch (Exception e)
        {
            LogFailed(logger, Context.RemoteEndPoint, e);
        }
        Context.Abort(new ConnectionAbortedException("the connection has ended"));
    }

    protected override IThreadPoolWorkItem? Take(DirectFrame frame, ReadOnlySequence<byte> body, Payload content)
    {
        if (frame.Kind == FrameKind.Cancel)
        {
            if (_underWay.TryGetValue(frame.Call, out var cancelled))
                ThreadPool.UnsafeQueueUserWorkItem(request => request.TryCancel(), cancelled, preferLocal: false);
            return null;
        }
        if (frame.Kind != FrameKind.Call || targets.Find(frame.Target, new InodeNumber(frame.Inode)) is not { } target)
            throw new InvalidDataException($"a message of a kind that there is not: {frame}");
        var request = Read<IInvokable>(body, content);
        request.SetTarget(new Target(target));
        _underWay[frame.Call] = request;
        if (!_places.Wait(0, CancellationToken.None))
            _owed++;
        return new Work(this, frame.Call, request);
    }

    protected override async ValueTask BelowBoundAsync()
    {
        for (; _owed > 0; _owed--)
            await _places.WaitAsync();
    }

    private async Task AnswerAsync(long number, IInvokable request)
    {
        try
        {
            Response response;
            try
            {
                response = await request.Invoke();
            }
            catch (Exception e)
            {
                response = Response.FromException(e);
            }
            _underWay.TryRemove(number, out _);
            await SendAsync(FrameKind.Reply, default, number, 0, response);
            if (response is Response<ContentReply> { TypedResult.Content: var content })
                content.Release();
        }
        catch (ConnectionAbortedException)
        {
            // Who asked is gone, or asks again.
        }
        catch (Exception e)
        {
            LogFailed(logger, Context.RemoteEndPoint, e);
        }
        finally
        {
            _places.Release();
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "the direct connection of {Mount} failed")]
    private static partial void LogFailed(ILogger logger, System.Net.EndPoint? mount, Exception exception);

    private sealed class Work(DirectCallee callee, long number, IInvokable request) : IThreadPoolWorkItem
    {
        public void Execute() => _ = callee.AnswerAsync(number, request);
    }

    private sealed class Target(object grain) : ITargetHolder
    {
        public object GetTarget() => grain;

        public object? GetComponent(Type componentType) => null;
    }
}
