using System.Net;
using System.Net.Sockets;

namespace OrleansFs.Client.Security;

/// <summary>Whether a silo answers: it greets who connects to it, before it is asked for anything.</summary>
public static class SiloProbe
{
    /// <param name="silo">Its port for silos, or the one for mounts.</param>
    /// <param name="time">The clock.</param>
    /// <param name="cancellation">Ends it.</param>
    public static async Task<bool> AnswersAsync(IPEndPoint silo, TimeProvider time, CancellationToken cancellation)
    {
        using var patience = new CancellationTokenSource(Limits.ProbeTimeout, time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellation);
        using var socket = new Socket(silo.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
        try
        {
            await socket.ConnectAsync(silo, linked.Token);
            byte[] greeting = new byte[Handshake.Greeting.Length];
            await using var stream = new NetworkStream(socket);
            await stream.ReadExactlyAsync(greeting, linked.Token);
            return greeting.AsSpan().SequenceEqual(Handshake.Greeting);
        }
        catch (Exception e) when (e is SocketException or IOException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            return false;
        }
    }
}
