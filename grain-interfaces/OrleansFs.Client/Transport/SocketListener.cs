using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;

namespace OrleansFs.Client.Transport;

/// <summary>Accepts connections until it is unbound.</summary>
internal sealed class SocketListener : IConnectionListener
{
    private readonly Socket _socket;

    private SocketListener(Socket socket, EndPoint endPoint)
    {
        _socket = socket;
        EndPoint = endPoint;
    }

    public EndPoint EndPoint { get; }

    public static SocketListener Bind(EndPoint endpoint)
    {
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            if (endpoint is IPEndPoint { Address: var address } && address.Equals(IPAddress.IPv6Any))
                socket.DualMode = true;
            socket.Bind(endpoint);
            socket.Listen(Limits.Backlog);
            return new SocketListener(socket, socket.LocalEndPoint!);
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
        socket.NoDelay = true;
        socket.LingerState = new LingerOption(true, 0);
        socket.SetSocketOption(SocketOptionLevel.Socket, SocketOptionName.KeepAlive, true);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveTime, (int)Limits.KeepAliveAfter.TotalSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveInterval, (int)Limits.KeepAliveEvery.TotalSeconds);
        socket.SetSocketOption(SocketOptionLevel.Tcp, SocketOptionName.TcpKeepAliveRetryCount, Limits.KeepAliveTries);
    }

    /// <returns>Null: nothing is accepted any more.</returns>
    public async ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
    {
        while (true)
        {
            Socket? accepted = null;
            try
            {
                accepted = await _socket.AcceptAsync(cancellationToken);
                Prepare(accepted);
                return SocketConnection.Start(accepted);
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
        return default;
    }

    public ValueTask DisposeAsync() => UnbindAsync();
}
