using System.Net.Sockets;
using System.Text;

namespace OrleansFs.Hosting.Command;

/// <summary>
/// What a service manager is told of a process that it started with <c>Type=notify</c> (sd_notify(3)): one datagram of <c>NAME=VALUE</c> lines to the socket that it names in NOTIFY_SOCKET. Without that variable, and where nobody
/// listens, nothing happens.
/// </summary>
public static class ServiceNotification
{
    private const string Variable = "NOTIFY_SOCKET";

    /// <summary>It serves, and this is what it says of itself.</summary>
    public static void Ready(string status) => Send($"READY=1\nSTATUS={status.ReplaceLineEndings(" ")}");

    /// <summary>It ends: what is in flight is being committed.</summary>
    public static void Stopping() => Send("STOPPING=1\nSTATUS=committing what is in flight");

    private static void Send(string message)
    {
        if (Environment.GetEnvironmentVariable(Variable) is not { Length: > 1 } address)
            return;
        try
        {
            using var socket = new Socket(AddressFamily.Unix, SocketType.Dgram, ProtocolType.Unspecified);
            // '@' stands for the NUL that begins the name of a socket that is in no directory.
            socket.SendTo(Encoding.UTF8.GetBytes(message), new UnixDomainSocketEndPoint(address[0] == '@' ? $"\0{address[1..]}" : address));
        }
        catch (SocketException)
        {
            // The manager waits for its own time-out, and says so: a volume that serves does not end for that.
        }
    }
}
