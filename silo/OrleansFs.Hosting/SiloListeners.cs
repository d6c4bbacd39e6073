using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.Logging;
using OrleansFs.Client.Transport;
using OrleansFs.Hosting.Cluster;

namespace OrleansFs.Hosting;

/// <summary>
/// Where a silo listens: bound before anybody is told of it, so that nobody takes a port between the silo's finding and using it. The silo that was built with them closes them when it stops.
/// </summary>
internal sealed record SiloListeners(IConnectionListener Silo, IConnectionListener Gateway) : IAsyncDisposable
{
    /// <exception cref="HostException">One line that says which port cannot be used.</exception>
    /// <exception cref="ClusterAwayException">This machine does not have the address now.</exception>
    public static async Task<SiloListeners> ListenAsync(OrleansFsHostOptions options, ILogger logger)
    {
        var silo = Listen(options.Advertise, options.SiloPort, "--silo-port", logger);
        try
        {
            return new SiloListeners(silo, Listen(options.Advertise, options.GatewayPort, "--gateway-port", logger));
        }
        catch
        {
            await silo.DisposeAsync();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await Silo.DisposeAsync();
        await Gateway.DisposeAsync();
    }

    private static IConnectionListener Listen(IPAddress address, int? port, string option, ILogger logger)
    {
        for (int attempt = 1; ; attempt++)
        {
            try
            {
                var listener = SocketTransport.Listen(new IPEndPoint(address, port ?? 0), out bool hasDoor);
                if (!hasDoor)
                    logger.LogWarning("another process of this machine has taken the local name of {Address}: mounts on this machine come by TCP, which is slower, and no less safe", listener.EndPoint);
                return listener;
            }
            catch (AddressInUseException) when (port is null && attempt < Limits.PortAttempts)
            {
                // Two who ask at the same moment may be given the same, and one of them can listen.
            }
            catch (AddressInUseException e)
            {
                throw new HostException(port is null ? $"no port of {address} is free" : $"{option} {port}: another process listens there, at {address}", e);
            }
            catch (SocketException e) when (e.SocketErrorCode == SocketError.AddressNotAvailable)
            {
                // Not a mistake for certain: a laptop has its address when its network is there.
                throw new ClusterAwayException($"this machine has no address {address}, under which others are told to reach it (--advertise)", e);
            }
            catch (SocketException e)
            {
                throw new HostException($"cannot listen at {address}{(port is null ? "" : $", {option} {port}")}: {e.Message}", e);
            }
        }
    }
}
