using System.Net;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using Orleans.Networking.Shared;
using Orleans.Serialization;
using OrleansFs.Client.Security;
using OrleansFs.Client.Transport;
using OrleansFs.Model;

namespace OrleansFs.Client.Direct;

/// <summary>The direct connection to one copy, made anew when it is lost.</summary>
internal sealed partial class DirectLane : IAsyncDisposable
{
    private readonly CopyName _copy;
    private readonly Serializer _serializer;
    private readonly Handshake _handshake;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _ended = new();
    private readonly Task _keeping;
    private TaskCompletionSource _offered = NewOffer();
    private volatile IPEndPoint? _gateway;
    private volatile DirectCaller? _caller;

    public DirectLane(CopyName copy, Serializer serializer, Handshake handshake, TimeProvider time, ILogger logger)
    {
        _copy = copy;
        _serializer = serializer;
        _handshake = handshake;
        _time = time;
        _logger = logger;
        _keeping = Task.Run(KeepAsync);
    }

    /// <summary>The connection; null: there is none now.</summary>
    public DirectCaller? Caller => _caller;

    /// <summary>Where the copy can be called, as it said a moment ago.</summary>
    public void Offer(IPEndPoint gateway)
    {
        if (gateway.Equals(_gateway))
            return;
        _gateway = gateway;
        Interlocked.Exchange(ref _offered, NewOffer()).TrySetResult();
    }

    public async ValueTask DisposeAsync()
    {
        if (_ended.IsCancellationRequested)
            return;
        await _ended.CancelAsync();
        await _keeping;
    }

    private async Task KeepAsync()
    {
        while (!_ended.IsCancellationRequested)
        {
            var offered = Volatile.Read(ref _offered).Task;
            try
            {
                if (_gateway is { } gateway)
                    await ServeAsync(gateway);
            }
            catch (OperationCanceledException)
            {
                // The end, or the other side took too long.
            }
            catch (Exception e) when (e is ConnectionAbortedException or ConnectionResetException or SocketConnectionException)
            {
                LogNone(_logger, _copy, e.Message);
            }
            catch (Exception e)
            {
                LogFailed(_logger, _copy, e);
            }
            await Task.WhenAny(offered, Task.Delay(Limits.DirectPause, _time, _ended.Token));
        }
    }

    private static TaskCompletionSource NewOffer() => new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>Connects, and keeps the connection until it ends, this ends, or the copy is somewhere else.</summary>
    private async Task ServeAsync(IPEndPoint gateway)
    {
        await using var caller = await ConnectAsync(gateway);
        try
        {
            _caller = caller;
            LogConnected(_logger, _copy, gateway);
            var end = Task.Delay(Timeout.InfiniteTimeSpan, _time, _ended.Token);
            while (!caller.Ended.IsCompleted && !end.IsCompleted)
            {
                var offered = Volatile.Read(ref _offered).Task;
                if (!gateway.Equals(_gateway))
                    return;
                await Task.WhenAny(caller.Ended, offered, end);
            }
        }
        finally
        {
            _caller = null;
        }
    }

    private async Task<DirectCaller> ConnectAsync(IPEndPoint gateway)
    {
        try
        {
            return await ConnectAsync(LocalDoor.Of(gateway));
        }
        catch (Exception e) when (e is ConnectionAbortedException or ConnectionResetException or SocketConnectionException || (e is OperationCanceledException && !_ended.IsCancellationRequested))
        {
            // It is on another machine, or in another network namespace.
        }
        return await ConnectAsync((EndPoint)gateway);
    }

    private async Task<DirectCaller> ConnectAsync(EndPoint gateway)
    {
        using var patience = new CancellationTokenSource(Limits.Handshake, _time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, _ended.Token);
        var context = await SocketTransport.ConnectByThreadAsync(gateway, linked.Token);
        try
        {
            await _handshake.ProveAsync(context);
            await context.Transport.Output.WriteAsync(DirectConnection.GreetingTo(_copy), linked.Token);
            var answer = await context.Transport.Input.ReadAtLeastAsync(1, linked.Token);
            if (answer.Buffer.IsEmpty || answer.Buffer.FirstSpan[0] != 1)
                throw new ConnectionAbortedException("it takes no calls but Orleans'");
            context.Transport.Input.AdvanceTo(answer.Buffer.GetPosition(1));
            return new DirectCaller(context, _serializer, _copy, _time);
        }
        catch (Exception e)
        {
            context.Abort(new ConnectionAbortedException(e.Message, e));
            await context.DisposeAsync();
            throw;
        }
    }

    [LoggerMessage(Level = LogLevel.Debug, Message = "calls to the copy '{Copy}' go directly to {Gateway}")]
    private static partial void LogConnected(ILogger logger, CopyName copy, IPEndPoint gateway);

    [LoggerMessage(Level = LogLevel.Debug, Message = "calls to the copy '{Copy}' go by Orleans' messages: {Reason}")]
    private static partial void LogNone(ILogger logger, CopyName copy, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "the direct connection to the copy '{Copy}' failed; calls go by Orleans' messages")]
    private static partial void LogFailed(ILogger logger, CopyName copy, Exception exception);
}
