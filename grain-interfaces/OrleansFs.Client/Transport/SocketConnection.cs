using System.Buffers;
using System.IO.Pipelines;
using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;

namespace OrleansFs.Client.Transport;

/// <summary>One connection of TCP, or through a <see cref="LocalDoor"/>: two pipes, and for each a loop between it and the socket.</summary>
/// <remarks>Who reads goes on in the thread that has received, and who writes sends himself: both only hand messages on, and a change of threads costs more than that.</remarks>
internal sealed class SocketConnection : ConnectionContext, IContentConnection, IProvableConnection
{
    private readonly Socket _socket;
    private readonly Strangers? _strangers;
    private readonly Pipe _received = NewPipe();
    private readonly Pipe _sent = NewPipe();
    private readonly CancellationTokenSource _closed = new();
    private readonly TaskCompletionSource _told = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Task _loops = Task.CompletedTask;
    private ConnectionAbortedException? _reason;
    private int _isShut;

    private SocketConnection(Socket socket, EndPoint listener, Strangers? strangers)
    {
        _socket = socket;
        _strangers = strangers;
        Way = socket.AddressFamily == AddressFamily.Unix ? (listener is IPEndPoint address ? LocalDoor.Of(address) : listener).ToString()! : "";
        Transport = new Ends(_received.Reader, _sent.Writer);
        (LocalEndPoint, RemoteEndPoint) = socket.AddressFamily == AddressFamily.Unix ? (listener, listener) : (socket.LocalEndPoint, socket.RemoteEndPoint);
        ConnectionClosed = _closed.Token;
        Features.Set<IContentConnection>(this);
        Features.Set<IProvableConnection>(this);
    }

    public override string ConnectionId { get; set; } = Guid.NewGuid().ToString("N");

    public override IFeatureCollection Features { get; } = new FeatureCollection();

    public override IDictionary<object, object?> Items { get; set; } = new ConnectionItems();

    public override IDuplexPipe Transport { get; set; }

    public string Way { get; }

    /// <summary>Takes a connected socket over.</summary>
    /// <param name="socket">The socket.</param>
    /// <param name="listener">The address of the end that listened: what both ends are called where they have none of TCP.</param>
    /// <param name="strangers">Where it counts until it is proven; null: it was made from here.</param>
    public static SocketConnection Start(Socket socket, EndPoint listener, Strangers? strangers = null)
    {
        var connection = new SocketConnection(socket, listener, strangers);
        strangers?.Add(connection);
        connection._loops = Task.WhenAll(connection.ReceiveAsync(), connection.SendAsync());
        return connection;
    }

    public override void Abort(ConnectionAbortedException abortReason)
    {
        Shut(abortReason);
        _sent.Reader.CancelPendingRead();
    }

    /// <summary>When nobody reads or writes any more.</summary>
    public override async ValueTask DisposeAsync()
    {
        await Transport.Input.CompleteAsync();
        await Transport.Output.CompleteAsync();
        await _loops;
        _closed.Dispose();
        await base.DisposeAsync();
    }

    public void Proven() => _strangers?.Remove(this);

    public bool IsReceiver => SocketThread.IsReceiver(_socket);

    public void Receive(Memory<byte> into)
    {
        try
        {
            SocketThread.ReceiveAll(_socket, into);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            throw new ConnectionResetException(e.Message, e);
        }
    }

    public async ValueTask SendAsync(ReadOnlyMemory<byte> first, ReadOnlyMemory<byte> second)
    {
        await SendAsync(first);
        await SendAsync(second);
    }

    private static Pipe NewPipe() => new(new PipeOptions(
        readerScheduler: PipeScheduler.Inline,
        writerScheduler: PipeScheduler.ThreadPool,
        pauseWriterThreshold: Limits.PipePause,
        resumeWriterThreshold: Limits.PipePause / 2,
        minimumSegmentSize: Limits.PipeSegment,
        useSynchronizationContext: false));

    private async Task ReceiveAsync()
    {
        var failure = await FailureOfAsync(() => SocketThread.ReceiveAsync(_socket, _received.Writer));
        await _received.Writer.CompleteAsync(Volatile.Read(ref _reason) ?? failure);
        ThreadPool.UnsafeQueueUserWorkItem(connection => connection.TellClosed(), this, preferLocal: false);
        await _told.Task;
    }

    private async Task SendAsync()
    {
        var failure = await FailureOfAsync(async () =>
        {
            while (await _sent.Reader.ReadAsync() is { IsCanceled: false } result)
            {
                if (!result.Buffer.IsEmpty)
                    await SendAsync(result.Buffer);
                _sent.Reader.AdvanceTo(result.Buffer.End);
                if (result.IsCompleted)
                    return;
            }
        });
        Shut(failure is null ? new ConnectionAbortedException("nothing more is sent") : new ConnectionAbortedException(failure.Message, failure));
        await _sent.Reader.CompleteAsync(failure);
        // Whoever has more to read has no use for it.
        _received.Writer.CancelPendingFlush();
    }

    /// <summary>Runs a loop, not in the thread that begins it: what is there already is the business of who reads.</summary>
    /// <returns>Why it ended before its time; null also where <see cref="Shut"/> ended it, which says why.</returns>
    private static async Task<Exception?> FailureOfAsync(Func<Task> loop)
    {
        await Task.CompletedTask.ConfigureAwait(ConfigureAwaitOptions.ForceYielding);
        try
        {
            await loop();
            return null;
        }
        catch (SocketException e)
        {
            return new ConnectionResetException(e.Message, e);
        }
        catch (ObjectDisposedException)
        {
            return null;
        }
        catch (Exception e)
        {
            return e;
        }
    }

    private async ValueTask SendAsync(ReadOnlySequence<byte> buffer)
    {
        foreach (var memory in buffer)
            await SendAsync(memory);
    }

    private async ValueTask SendAsync(ReadOnlyMemory<byte> memory)
    {
        for (var rest = memory; !rest.IsEmpty;)
        {
            int sent = SocketThread.TrySend(_socket, rest.Span);
            rest = rest[sent..];
            // The other end takes no more now. Who sends may be who has to read for the other end to go on.
            if (!rest.IsEmpty && !SocketThread.HasRoomSoon(_socket))
                await Task.Run(() => SocketThread.WaitToSend(_socket));
        }
    }

    private void Shut(ConnectionAbortedException reason)
    {
        if (Interlocked.Exchange(ref _isShut, 1) != 0)
            return;
        _strangers?.Remove(this);
        Volatile.Write(ref _reason, reason);
        try
        {
            _socket.Shutdown(SocketShutdown.Both);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException)
        {
            // It is down already.
        }
        _socket.Dispose();
    }

    private void TellClosed()
    {
        try
        {
            _closed.Cancel();
        }
        finally
        {
            _told.TrySetResult();
        }
    }

    private sealed class Ends(PipeReader input, PipeWriter output) : IDuplexPipe
    {
        public PipeReader Input => input;

        public PipeWriter Output => output;
    }
}
