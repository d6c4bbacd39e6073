using System.Net;
using System.Net.Sockets;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using OrleansFs.Client.Transport;
using Xunit;

namespace OrleansFs.Cluster.Tests.Sessions;

public sealed class SocketTransportTests
{
    private static readonly object Key = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Bytes_arrive_as_they_were_sent_in_both_directions(bool byDoor)
    {
        await using var pair = await PairAsync(byDoor);
        byte[] sent = new byte[20 << 20];
        new Random(3).NextBytes(sent);
        foreach (var (from, to) in new[] { (pair.Caller, pair.Listener), (pair.Listener, pair.Caller) })
        {
            var reading = ReadAsync(to, sent.Length);
            for (int at = 0, n = 1; at < sent.Length; at += n, n = Math.Min(Math.Min(n * 3, 3 << 20), sent.Length - at))
                await from.Transport.Output.WriteAsync(sent.AsMemory(at, n), Cancellation);
            Assert.True((await reading).AsSpan().SequenceEqual(sent));
        }
    }

    /// <summary>Who does not read holds up who writes: nothing grows.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_writer_waits_for_the_reader(bool byDoor)
    {
        await using var pair = await PairAsync(byDoor);
        var writing = WriteUntilStuckAsync(pair.Caller);
        long sent = await writing;
        Assert.InRange(sent, 1 << 20, 64 << 20);
        var received = await ReadAsync(pair.Listener, (int)sent);
        Assert.Equal(sent, received.Length);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Both_ends_are_told_when_one_closes(bool byDoor)
    {
        await using var pair = await PairAsync(byDoor);
        var (here, there) = (ClosedAsync(pair.Caller), ClosedAsync(pair.Listener));
        pair.Caller.Abort(new ConnectionAbortedException("enough"));
        await here;
        await there;
        await Assert.ThrowsAsync<ConnectionAbortedException>(async () => await pair.Caller.Transport.Input.ReadAsync(Cancellation));
    }

    /// <summary>TCP sends again for a quarter of an hour, to an address that is somebody else's by then or through a router that has forgotten the connection.</summary>
    [Fact]
    public async Task What_is_not_acknowledged_for_long_ends_the_connection_at_both_ends()
    {
        using var listener = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        listener.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        listener.Listen();
        using var caller = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        await caller.ConnectAsync(listener.LocalEndPoint!, Cancellation);
        using var called = await listener.AcceptAsync(Cancellation);
        foreach (var end in new[] { caller, called })
        {
            SocketListener.Prepare(end);
            byte[] value = new byte[4];
            Assert.Equal(4, end.GetRawSocketOption(6, 18, value));
            Assert.Equal(20_000, BitConverter.ToInt32(value));
        }
    }

    [Fact]
    public async Task Nobody_there_and_somebody_there_already_are_said()
    {
        await using var pair = await PairAsync();
        var services = Services();
        var listeners = services.GetRequiredKeyedService<IConnectionListenerFactory>(Key);
        await Assert.ThrowsAsync<AddressInUseException>(async () => await listeners.BindAsync(pair.At.EndPoint, Cancellation));
        await pair.At.UnbindAsync(Cancellation);
        Assert.Null(await pair.At.AcceptAsync(Cancellation));
        await Assert.ThrowsAsync<Orleans.Networking.Shared.SocketConnectionException>(
            async () => await services.GetRequiredKeyedService<IConnectionFactory>(Key).ConnectAsync(pair.At.EndPoint, Cancellation));
        // Both ways are free again.
        await using var next = await listeners.BindAsync(pair.At.EndPoint, Cancellation);
        var accepting = next.AcceptAsync(Cancellation);
        await using var caller = await services.GetRequiredKeyedService<IConnectionFactory>(Key).ConnectAsync(LocalDoor.Of((IPEndPoint)next.EndPoint), Cancellation);
        await using var accepted = await accepting;
        caller.Abort(new ConnectionAbortedException("the test is over"));
        Assert.NotNull(accepted);
        accepted.Abort(new ConnectionAbortedException("the test is over"));
    }

    /// <summary>A port is somebody's from when it is chosen: who calls before anybody accepts waits, and nobody else can take it.</summary>
    [Fact]
    public async Task What_listens_already_is_what_is_bound()
    {
        var early = SocketTransport.Listen(new IPEndPoint(IPAddress.Loopback, 0), out bool hasDoor);
        Assert.True(hasDoor);
        Assert.Throws<AddressInUseException>(() => SocketTransport.Listen((IPEndPoint)early.EndPoint, out _));
        var services = Services(early);
        await using var caller = await services.GetRequiredKeyedService<IConnectionFactory>(Key).ConnectAsync(early.EndPoint, Cancellation);
        await using var bound = await services.GetRequiredKeyedService<IConnectionListenerFactory>(Key).BindAsync(early.EndPoint, Cancellation);
        await using var accepted = await bound.AcceptAsync(Cancellation);
        caller.Abort(new ConnectionAbortedException("the test is over"));
        Assert.NotNull(accepted);
        accepted.Abort(new ConnectionAbortedException("the test is over"));
    }

    [Fact]
    public void It_replaces_what_is_there_or_says_that_nothing_is() => Assert.Throws<InvalidOperationException>(() => SocketTransport.Use(new ServiceCollection()));

    private static ServiceProvider Services(params IReadOnlyList<IConnectionListener> listening)
    {
        var services = new ServiceCollection();
        services.AddKeyedSingleton<IConnectionFactory>(Key, (_, _) => throw new NotSupportedException());
        services.AddKeyedSingleton<IConnectionListenerFactory>(Key, (_, _) => throw new NotSupportedException());
        SocketTransport.Use(services, listening);
        return services.BuildServiceProvider();
    }

    private static async Task<Pair> PairAsync(bool byDoor = false)
    {
        var services = Services();
        var at = await services.GetRequiredKeyedService<IConnectionListenerFactory>(Key).BindAsync(new IPEndPoint(IPAddress.Loopback, 0), Cancellation);
        var accepting = at.AcceptAsync(Cancellation);
        EndPoint there = byDoor ? LocalDoor.Of((IPEndPoint)at.EndPoint) : at.EndPoint;
        var caller = await services.GetRequiredKeyedService<IConnectionFactory>(Key).ConnectAsync(there, Cancellation);
        return new Pair(at, caller, (await accepting)!);
    }

    private static async Task<byte[]> ReadAsync(ConnectionContext from, int count)
    {
        byte[] read = new byte[count];
        for (int at = 0; at < count;)
        {
            var result = await from.Transport.Input.ReadAsync(Cancellation);
            foreach (var part in result.Buffer)
            {
                part.CopyTo(read.AsMemory(at));
                at += part.Length;
            }
            from.Transport.Input.AdvanceTo(result.Buffer.End);
        }
        return read;
    }

    private static async Task<long> WriteUntilStuckAsync(ConnectionContext to)
    {
        byte[] piece = new byte[256 << 10];
        long sent = 0;
        while (true)
        {
            // Written and not yet flushed counts as sent: it is on its way.
            var flushing = to.Transport.Output.WriteAsync(piece, Cancellation).AsTask();
            sent += piece.Length;
            if (await Task.WhenAny(flushing, Task.Delay(TimeSpan.FromSeconds(1), Cancellation)) != flushing)
                return sent;
        }
    }

    private static Task ClosedAsync(ConnectionContext connection)
    {
        var closed = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        connection.ConnectionClosed.Register(closed.SetResult);
        return closed.Task.WaitAsync(TimeSpan.FromSeconds(10), Cancellation);
    }

    private sealed record Pair(IConnectionListener At, ConnectionContext Caller, ConnectionContext Listener) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            foreach (var end in new[] { Caller, Listener })
            {
                end.Abort(new ConnectionAbortedException("the test is over"));
                await end.DisposeAsync();
            }
            await At.DisposeAsync();
        }
    }
}
