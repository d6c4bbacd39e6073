using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Orleans.Networking.Shared;

namespace OrleansFs.Client.Transport;

/// <summary>
/// TCP below Orleans' messages, in place of Orleans' own. That one waits for data and then takes 4 KiB of it, each time with a change of threads: a read of 1 MiB by a mount in another process was 1,276 calls of recv(2).
/// </summary>
public sealed class SocketTransport : IConnectionFactory, IConnectionListenerFactory
{
    private readonly IReadOnlyList<IConnectionListener> _listening;

    private SocketTransport(IReadOnlyList<IConnectionListener> listening) => _listening = listening;

    /// <summary>Puts it in the place of every transport that Orleans has registered.</summary>
    /// <param name="listening">What <see cref="Listen"/> gave: who binds their addresses gets them.</param>
    /// <exception cref="InvalidOperationException">There is none: Orleans registers them in another way than it did.</exception>
    public static void Use(IServiceCollection services, params IReadOnlyList<IConnectionListener> listening)
    {
        var transport = new SocketTransport(listening);
        int replaced = 0;
        for (int i = 0; i < services.Count; i++)
        {
            var service = services[i];
            if (!service.IsKeyedService || (service.ServiceType != typeof(IConnectionFactory) && service.ServiceType != typeof(IConnectionListenerFactory)))
                continue;
            services[i] = ServiceDescriptor.KeyedSingleton(service.ServiceType, service.ServiceKey, (_, _) => transport);
            replaced++;
        }
        if (replaced == 0)
            throw new InvalidOperationException("Orleans has registered no transport");
    }

    /// <exception cref="SocketConnectionException">Nobody listens there, or the network does not lead there.</exception>
    public ValueTask<ConnectionContext> ConnectAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        ConnectAsync(endpoint, (socket, cancellation) => socket.ConnectAsync(endpoint, cancellation), cancellationToken);

    /// <summary>The same, of a thread of the pool that waits for it. A socket that was ever waited for in the asynchronous way wakes .NET's thread for all sockets whenever something comes, although another thread reads it.</summary>
    /// <exception cref="SocketConnectionException">Nobody listens there, or the network does not lead there.</exception>
    internal static ValueTask<ConnectionContext> ConnectByThreadAsync(EndPoint endpoint, CancellationToken cancellation) =>
        ConnectAsync(endpoint, (socket, _) => new ValueTask(Task.Run(() => socket.Connect(endpoint), CancellationToken.None)), cancellation);

    private static async ValueTask<ConnectionContext> ConnectAsync(EndPoint endpoint, Func<Socket, CancellationToken, ValueTask> connect, CancellationToken cancellation)
    {
        bool isLocal = endpoint.AddressFamily == AddressFamily.Unix;
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, isLocal ? ProtocolType.Unspecified : ProtocolType.Tcp);
        try
        {
            SocketListener.Prepare(socket);
            // A Unix socket is connected at once, or not at all: where somebody listens and takes nobody, connect(2) waits otherwise, and closing the socket does not end that.
            socket.Blocking = !isLocal;
            // Closing it ends a wait that takes no cancellation.
            await using (cancellation.UnsafeRegister(abandoned => ((Socket)abandoned!).Dispose(), socket))
                await connect(socket, cancellation);
            cancellation.ThrowIfCancellationRequested();
            return SocketConnection.Start(socket, endpoint);
        }
        catch (Exception e) when (e is SocketException or ObjectDisposedException && cancellation.IsCancellationRequested)
        {
            socket.Dispose();
            throw new OperationCanceledException(e.Message, e, cancellation);
        }
        catch (SocketException e)
        {
            socket.Dispose();
            throw new SocketConnectionException($"unable to connect to {endpoint}: {e.SocketErrorCode}", e);
        }
        catch
        {
            socket.Dispose();
            throw;
        }
    }

    /// <summary>Listens from now on. Who calls before anybody accepts waits, <see cref="Limits.Backlog"/> of them at most.</summary>
    /// <param name="endpoint">Port 0 is one that nobody has.</param>
    /// <param name="hasDoor">Whether who is on this machine can come without TCP; false: another process has the name of that way.</param>
    /// <exception cref="AddressInUseException">Somebody else listens there.</exception>
    /// <exception cref="SocketException">The address is not of this machine, or the port not for this user.</exception>
    public static IConnectionListener Listen(IPEndPoint endpoint, out bool hasDoor)
    {
        var listener = SocketListener.Bind(endpoint);
        hasDoor = listener.HasDoor;
        return listener;
    }

    /// <exception cref="AddressInUseException">Somebody else listens there.</exception>
    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) =>
        new(_listening.FirstOrDefault(l => l.EndPoint.Equals(endpoint)) ?? SocketListener.Bind(endpoint));
}
