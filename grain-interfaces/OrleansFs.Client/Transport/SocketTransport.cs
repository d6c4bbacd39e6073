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
    private static readonly SocketTransport Instance = new();

    private SocketTransport()
    {
    }

    /// <summary>Puts it in the place of every transport that Orleans has registered.</summary>
    /// <exception cref="InvalidOperationException">There is none: Orleans registers them in another way than it did.</exception>
    public static void Use(IServiceCollection services)
    {
        int replaced = 0;
        for (int i = 0; i < services.Count; i++)
        {
            var service = services[i];
            if (!service.IsKeyedService || (service.ServiceType != typeof(IConnectionFactory) && service.ServiceType != typeof(IConnectionListenerFactory)))
                continue;
            services[i] = ServiceDescriptor.KeyedSingleton(service.ServiceType, service.ServiceKey, (_, _) => Instance);
            replaced++;
        }
        if (replaced == 0)
            throw new InvalidOperationException("Orleans has registered no transport");
    }

    /// <exception cref="SocketConnectionException">Nobody listens there, or the network does not lead there.</exception>
    public async ValueTask<ConnectionContext> ConnectAsync(EndPoint endpoint, CancellationToken cancellationToken = default)
    {
        var socket = new Socket(endpoint.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            SocketListener.Prepare(socket);
            await socket.ConnectAsync(endpoint, cancellationToken);
            return SocketConnection.Start(socket);
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

    /// <exception cref="AddressInUseException">Somebody else listens there.</exception>
    public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) => new(SocketListener.Bind(endpoint));
}
