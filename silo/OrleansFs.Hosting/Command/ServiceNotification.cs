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

    /// <summary>How often it is looked whether something else is to be said. <c>systemctl status</c> is read by people.</summary>
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(5);

    /// <summary>It serves, and this is what it says of itself: again whenever that is something else, until what is returned is disposed of.</summary>
    /// <param name="status">What it says. Called by any thread.</param>
    public static IAsyncDisposable Ready(Func<string> status)
    {
        string said = Line(status);
        Send($"READY=1\n{said}");
        if (Address is null)
            return new Timer(_ => { });
        return new Timer(
            _ =>
            {
                string now = Line(status);
                if (Interlocked.Exchange(ref said, now) != now)
                    Send(now);
            },
            null, Tick, Tick);
    }

    /// <summary>It ends: what is in flight is being committed.</summary>
    public static void Stopping() => Send("STOPPING=1\nSTATUS=committing what is in flight");

    private static string? Address => Environment.GetEnvironmentVariable(Variable) is { Length: > 1 } address ? address : null;

    private static string Line(Func<string> status) => $"STATUS={status().ReplaceLineEndings(" ")}";

    private static void Send(string message)
    {
        if (Address is not { } address)
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
