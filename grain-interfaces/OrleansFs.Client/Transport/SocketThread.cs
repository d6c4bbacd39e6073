using System.Diagnostics;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Runtime.InteropServices;

namespace OrleansFs.Client.Transport;

/// <summary>A thread that waits for what comes on one socket, and puts it into a pipe.</summary>
/// <remarks>
/// recv(2) and poll(2) by themselves: .NET's own synchronous receive waits, on a socket that is also used asynchronously, for the thread that waits for all of them. Before it sleeps it asks for a while, giving way to others: to
/// be woken takes longer than most answers. Where they take longer, it does not ask: the processor is wanted by who makes them.
/// </remarks>
internal static partial class SocketThread
{
    private const short PollIn = 1;
    private const short PollOut = 4;
    private const int NoSignal = 0x4000;
    private const int DontWait = 0x40;
    private const int Again = 11;
    private const int Interrupted = 4;

    /// <summary>The socket for which this thread receives.</summary>
    [ThreadStatic]
    private static Socket? t_socket;

    /// <summary>How many times in a row this thread slept before something came.</summary>
    [ThreadStatic]
    private static uint t_slept;

    /// <summary>Whether this is the thread that receives from a socket.</summary>
    public static bool IsReceiver(Socket socket) => t_socket == socket;

    /// <summary>Receives as much as there is room for, in the thread that receives.</summary>
    /// <exception cref="SocketException">The connection was lost, or the other end says no more.</exception>
    public static void ReceiveAll(Socket socket, Memory<byte> into)
    {
        while (!into.IsEmpty)
        {
            int received = Receive(socket, into);
            if (received == 0)
                throw new SocketException((int)SocketError.ConnectionReset);
            into = into[received..];
        }
    }

    /// <summary>Receives until the other end says no more, or the socket is shut down.</summary>
    /// <exception cref="SocketException">The connection was lost.</exception>
    public static Task ReceiveAsync(Socket socket, PipeWriter into)
    {
        var done = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        new Thread(() => Run(socket, into, done), Limits.SocketStack) { IsBackground = true, Name = "receive" }.Start();
        return done.Task;
    }

    private static void Run(Socket socket, PipeWriter into, TaskCompletionSource done)
    {
        t_socket = socket;
        try
        {
            while (Receive(socket, into))
            {
            }
            done.SetResult();
        }
        catch (Exception e)
        {
            done.SetException(e);
        }
    }

    /// <returns>Whether there may be more.</returns>
    private static bool Receive(Socket socket, PipeWriter into)
    {
        int received = Receive(socket, into.GetMemory(Limits.LeastReceive));
        if (received == 0)
            return false;
        into.Advance(received);
        var flush = into.FlushAsync();
        // The pipe is full: nothing else is to be done by this thread.
        var flushed = flush.IsCompleted ? flush.Result : flush.AsTask().GetAwaiter().GetResult();
        return flushed is { IsCompleted: false, IsCanceled: false };
    }

    private static unsafe int Receive(Socket socket, Memory<byte> into)
    {
        var handle = socket.SafeHandle;
        using var pinned = into.Pin();
        long begun = 0;
        bool looks = false;
        bool sleeps = false;
        while (true)
        {
            // Held for one call only: whoever closes the socket waits until nobody holds it.
            bool isHeld = false;
            try
            {
                handle.DangerousAddRef(ref isHeld);
                int fd = (int)handle.DangerousGetHandle();
                nint received = recv(fd, pinned.Pointer, (nuint)into.Length, DontWait);
                if (received >= 0)
                {
                    if (begun != 0)
                        t_slept = sleeps ? t_slept + 1 : 0;
                    return (int)received;
                }
                int error = Marshal.GetLastPInvokeError();
                if (error == Again)
                {
                    if (begun == 0)
                    {
                        begun = Stopwatch.GetTimestamp();
                        looks = t_slept < Limits.SpinMisses || t_slept % Limits.SpinAgain == 0;
                    }
                    sleeps = !looks || Stopwatch.GetElapsedTime(begun) >= Limits.SocketSpin;
                    if (sleeps)
                        Poll(fd, PollIn, Limits.SocketWait);
                    else
                        _ = sched_yield();
                }
                else if (error != Interrupted)
                {
                    throw Lost(error);
                }
            }
            finally
            {
                if (isHeld)
                    handle.DangerousRelease();
            }
        }
    }

    /// <summary>Sends what there is room for now.</summary>
    /// <returns>Bytes; 0: there is no room.</returns>
    /// <exception cref="SocketException">The connection was lost.</exception>
    public static unsafe int TrySend(Socket socket, ReadOnlySpan<byte> bytes)
    {
        var handle = socket.SafeHandle;
        bool isHeld = false;
        try
        {
            handle.DangerousAddRef(ref isHeld);
            fixed (byte* pointer = bytes)
            {
                while (true)
                {
                    nint sent = send((int)handle.DangerousGetHandle(), pointer, (nuint)bytes.Length, DontWait | NoSignal);
                    if (sent >= 0)
                        return (int)sent;
                    int error = Marshal.GetLastPInvokeError();
                    if (error == Again)
                        return 0;
                    if (error != Interrupted)
                        throw Lost(error);
                }
            }
        }
        finally
        {
            if (isHeld)
                handle.DangerousRelease();
        }
    }

    /// <summary>Whether there is room within the time that the other end takes to read what is on its way, where it does nothing else; asks for it as a receiver does.</summary>
    public static bool HasRoomSoon(Socket socket)
    {
        var handle = socket.SafeHandle;
        bool isHeld = false;
        try
        {
            handle.DangerousAddRef(ref isHeld);
            int fd = (int)handle.DangerousGetHandle();
            for (long begun = Stopwatch.GetTimestamp(); Stopwatch.GetElapsedTime(begun) < Limits.SocketSpin;)
            {
                if (Poll(fd, PollOut, 0))
                    return true;
                _ = sched_yield();
            }
            return false;
        }
        finally
        {
            if (isHeld)
                handle.DangerousRelease();
        }
    }

    /// <summary>Waits until there may be room, or the socket is lost.</summary>
    public static void WaitToSend(Socket socket)
    {
        var handle = socket.SafeHandle;
        bool isHeld = false;
        try
        {
            handle.DangerousAddRef(ref isHeld);
            Poll((int)handle.DangerousGetHandle(), PollOut, Limits.SocketWait);
        }
        finally
        {
            if (isHeld)
                handle.DangerousRelease();
        }
    }

    private static unsafe bool Poll(int fd, short what, int milliseconds)
    {
        var waited = new PollFd { Descriptor = fd, Events = what };
        return poll(&waited, 1, milliseconds) > 0;
    }

    private static SocketException Lost(int error) => new(error == 104 ? (int)SocketError.ConnectionReset : (int)SocketError.ConnectionAborted);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint send(int fd, void* buffer, nuint length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial nint recv(int fd, void* buffer, nuint length, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static unsafe partial int poll(PollFd* fds, nuint count, int timeout);

    [LibraryImport("libc")]
    private static partial int sched_yield();

    [StructLayout(LayoutKind.Sequential)]
    private struct PollFd
    {
        public int Descriptor;
        public short Events;
        public short Returned;
    }
}
