using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace OrleansFs.Client.Transport;

/// <summary>Accepts connections until it is unbound.</summary>
internal sealed class SocketListener : IConnectionListener
{
    /// <summary>IPPROTO_TCP, and its TCP_USER_TIMEOUT, of tcp(7).</summary>
    private const int Tcp = 6, TcpUserTimeout = 18;

    private readonly Socket _socket;
    private readonly Socket? _door;
    private readonly Strangers _strangers = new();
    private Task<Socket>? _calling;
    private Task<Socket>? _knocking;

    private SocketListener(Socket socket, EndPoint endPoint, Socket? door)
    {
        _socket = socket;
        _door = door;
        EndPoint = endPoint;
    }

    public EndPoint EndPoint { get; }

    /// <summary>Whether who is on this machine can come by the <see cref="LocalDoor"/>.</summary>
    public bool HasDoor => _door is not null;

    public static SocketListener Bind(EndPoint endpoint)
    {
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (endpoint is IPEndPoint { Address: var address } && address.Equals(IPAddress.IPv6Any))
                socket.DualMode = true;
            socket.Bind(endpoint);
            socket.Listen(Limits.Backlog);
            var bound = socket.LocalEndPoint!;
            return new SocketListener(socket, bound, bound is IPEndPoint there ? LocalDoor.TryListen(there) : null);
        }
        catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressAlreadyInUse)
        {
            socket.Dispose();
            throw new AddressInUseException(e.Message, e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Small messages go at once, and a peer that has vanished is found out. What is closed is closed at once: nobody waits for what is still on its way.</summary>
    public static void Prepare(Socket socket)
    {
        if (socket.AddressFamily == AddressFamily.Unix)
        {
            socket.SendBufferSize = Limits.PipePause;
            return;
        }
        socket.NoDelay = true;
        socket.LingerState = new LingerOption(true, 0);
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, (int)Limits.KeepAliveAfter.TotalSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, (int)Limits.KeepAliveEvery.TotalSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, Limits.KeepAliveTries);
        if (OperatingSystem.IsLinux())
            socket.SetRawSocketOption(Tcp, TcpUserTimeout, BitConverter.GetBytes((int)Limits.Unacknowledged.TotalMilliseconds));
    }

    /// <returns>Null: nothing is accepted any more.</returns>
    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            Socket? accepted = null;
            try
            {
                accepted = await NextAsync(cancellationToken);
                Prepare(accepted);
                return SocketConnection.Start(accepted, EndPoint, _strangers);
            }
            catch (ObjectDisposedException)
            {
                return null;
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.OperationAborted)
            {
                return null;
            }
            catch (SocketException) when (accepted is not null)
            {
                // The other end is gone before anything was said. The next one.
                accepted.Dispose();
            }
            catch (SocketException)
            {
                // The same; or there are too many files open, which a pause does no harm to.
                await Task.Delay(Limits.AcceptPause, cancellationToken);
            }
        }
    }

    public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
    {
        _socket.Dispose();
        _door?.Dispose();
        Abandon(_calling);
        Abandon(_knocking);
        return default;
    }

    public ValueTask DisposeAsync() => UnbindAsync();

    /// <summary>The next who comes by either way.</summary>
    private async ValueTask<Socket> NextAsync(CancellationToken cancellation)
    {
        _calling ??= _socket.AcceptAsync(CancellationToken.None).AsTask();
        if (_door is not null)
            _knocking ??= _door.AcceptAsync(CancellationToken.None).AsTask();
        var come = await Task.WhenAny(_calling, _knocking ?? _calling).WaitAsync(cancellation);
        if (come == _calling)
            _calling = null;
        else
            _knocking = null;
        return await come;
    }

    /// <summary>Nobody waits for this one any more: it fails, now that the socket is closed, or somebody has come just before that.</summary>
    private static void Abandon(Task<Socket>? accepting) => accepting?.ContinueWith(ended =>
    {
        if (ended.Exception is null)
            ended.Result.Dispose();
    }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
}
