using System.Buffers.Binary;
using System.Net;
using System.Net.Sockets;
using System.Text;
using Microsoft.AspNetCore.Connections;
using OrleansFs.Client;
using OrleansFs.Client.Direct;
using OrleansFs.Client.Security;
using OrleansFs.Client.Transport;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>Calls on a connection of their own to a silo's gateway, and what becomes of them without it.</summary>
public sealed class DirectTests : IAsyncLifetime
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30); // far above what a busy machine takes

    private readonly TestFolder _folder = new();
    private RunningSilo _silo = null!;

    private static CancellationToken Cancellation => RunningSilo.Cancellation;

    public async ValueTask InitializeAsync() => _silo = await RunningSilo.StartAsync(_folder["data"]);

    [Fact]
    public async Task Changes_happen_once_however_often_the_connection_is_lost()
    {
        var connection = await _silo.ConnectAsync();
        var volume = await _silo.MountAsync(connection);
        var first = await CallerAsync(connection);
        int lost = 0;
        using var enough = new CancellationTokenSource();
        var losing = Task.Run(
            async () =>
            {
                while (!enough.IsCancellationRequested)
                {
                    await (await CallerAsync(connection)).DisposeAsync();
                    lost++;
                }
            },
            Cancellation);
        byte[] content = new byte[300_000];
        for (int i = 0; i < 200 || lost < 3; i++)
        {
            byte[] name = Encoding.ASCII.GetBytes($"file{i}");
            var made = await volume.CreateAsync(InodeNumber.Root, name, new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, new Caller(0, 0, 1, 0x12), Cancellation);
            Assert.Equal(Errno.None, made.Error);
            Random.Shared.NextBytes(content);
            Assert.Equal(0L, (await volume.WriteAsync(made.Value.Inode, 0, content, WriteFlags.None, Cancellation)).Value);
            Assert.Equal((long)content.Length, (await volume.WriteAsync(made.Value.Inode, 0, content, WriteFlags.Append, Cancellation)).Value);
            byte[] back = new byte[2 * content.Length + 1];
            Assert.Equal(2 * content.Length, (await volume.ReadAsync(made.Value.Inode, 0, back, Cancellation)).Value);
            Assert.True(back.AsSpan(0, content.Length).SequenceEqual(content) && back.AsSpan(content.Length, content.Length).SequenceEqual(content));
            Assert.Equal(Errno.None, (await volume.UnlinkAsync(InodeNumber.Root, name, Cancellation)).Error);
        }
        await enough.CancelAsync();
        await losing.WaitAsync(s_patience, Cancellation);
        Assert.NotSame(first, await CallerAsync(connection));
    }

    [Fact]
    public async Task Who_is_on_the_machine_of_the_silo_comes_without_TCP()
    {
        var connection = await _silo.ConnectAsync();
        var volume = await _silo.MountAsync(connection);
        await CallerAsync(connection, _silo);
        Assert.Equal(Errno.None, (await volume.GetAttributesAsync(InodeNumber.Root, Cancellation)).Error);
        Assert.Equal(1, Connected(_silo));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task A_name_that_another_has_taken_is_no_hindrance(bool turnsAway)
    {
        using var free = new Socket(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        free.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        var gateway = (IPEndPoint)free.LocalEndPoint!;
        free.Dispose();
        using var stranger = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        stranger.Bind(LocalDoor.Of(gateway));
        stranger.Listen(0);
        Assert.Null(LocalDoor.TryListen(gateway));
        using var first = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        // Where nobody is taken, the next waits in connect(2).
        await first.ConnectAsync(LocalDoor.Of(gateway), Cancellation);
        var turningAway = turnsAway ? Task.Run(TurnAwayAsync, Cancellation) : new TaskCompletionSource().Task;

        await using var silo = await RunningSilo.StartAsync(_folder["second"], "second", gatewayPort: gateway.Port);
        var connection = await silo.ConnectAsync();
        var volume = await silo.MountAsync(connection);
        await CallerAsync(connection, silo);
        Assert.Equal(Errno.None, (await volume.GetAttributesAsync(InodeNumber.Root, Cancellation)).Error);
        Assert.False(turningAway.IsCompleted);

        async Task TurnAwayAsync()
        {
            while (true)
                (await stranger.AcceptAsync(Cancellation)).Dispose();
        }
    }

    [Fact]
    public async Task Who_asks_for_another_copy_or_says_what_nobody_says_is_sent_away()
    {
        var endpoint = IPEndPoint.Parse(_silo.Host.Silo!.Gateway);
        var handshake = new Handshake(await ClusterSecret.ReadAsync(_silo.Host.Cluster, Cancellation), TimeProvider.System);

        await using (var other = await GreetAsync("other"))
            Assert.Empty(await RestAsync(other));
        // A frame that is longer than any.
        byte[] frame = new byte[DirectFrame.Size];
        BinaryPrimitives.WriteInt32LittleEndian(frame, int.MaxValue);
        Assert.Equal([1], await SayAsync(frame));
        // A call of what there is not, and one whose request is none.
        Assert.Equal([1], await SayAsync([.. Head(FrameKind.Call, (DirectTarget)9, 0)]));
        Assert.Equal([1], await SayAsync([.. Head(FrameKind.Call, DirectTarget.Names, 4), 1, 2, 3, 4]));
        Assert.Equal([1], await SayAsync([.. Head(FrameKind.Reply, DirectTarget.Names, 0)]));
        // More content than there may be; content that does not come; and content that is there as a whole, behind what is no request.
        Assert.Equal([1], await SayAsync(Head(FrameKind.Call, DirectTarget.Names, 0, GrainInterfaces.Limits.MaxTransfer + 1)));
        Assert.Equal([1], await SayAsync(Head(FrameKind.Call, DirectTarget.Names, 0, -1)));
        await using (var mute = await GreetAsync(_silo.Copy.Value))
            await mute.Transport.Output.WriteAsync((byte[])[.. Head(FrameKind.Call, DirectTarget.Names, 4, 100_000), 1, 2, 3, 4, .. new byte[50_000]], Cancellation);
        Assert.Equal([1], await SayAsync([.. Head(FrameKind.Call, DirectTarget.Names, 4, 100_000), 1, 2, 3, 4, .. new byte[100_000]]));
        // To cancel what is not under way does no harm.
        await using var good = await GreetAsync(_silo.Copy.Value);
        await good.Transport.Output.WriteAsync(Head(FrameKind.Cancel, default, 0), Cancellation);

        var connection = await _silo.ConnectAsync();
        var volume = await _silo.MountAsync(connection);
        await CallerAsync(connection);
        Assert.Equal(Errno.None, (await volume.GetAttributesAsync(InodeNumber.Root, Cancellation)).Error);

        async Task<ConnectionContext> GreetAsync(string copy)
        {
            var context = await SocketTransport.ConnectByThreadAsync(endpoint, Cancellation);
            await handshake.ProveAsync(context);
            await context.Transport.Output.WriteAsync(DirectConnection.GreetingTo(CopyName.Parse(copy)), Cancellation);
            return context;
        }

        async Task<byte[]> SayAsync(byte[] words)
        {
            await using var context = await GreetAsync(_silo.Copy.Value);
            await context.Transport.Output.WriteAsync(words, Cancellation);
            return await RestAsync(context);
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _silo.DisposeAsync();
        _folder.Dispose();
    }

    private static byte[] Head(FrameKind kind, DirectTarget target, int length, int content = 0)
    {
        byte[] head = new byte[DirectFrame.Size];
        new DirectFrame(length, content, kind, target, 1, 0).Write(head);
        return head;
    }

    /// <summary>What the other end says until it closes.</summary>
    private static async Task<byte[]> RestAsync(ConnectionContext context)
    {
        using var said = new MemoryStream();
        try
        {
            await context.Transport.Input.CopyToAsync(said, Cancellation).WaitAsync(s_patience, Cancellation);
        }
        catch (Exception e) when (e is ConnectionResetException or ConnectionAbortedException)
        {
            // Closed all the same.
        }
        return said.ToArray();
    }

    /// <summary>Connections that a silo's gateway has taken through its door.</summary>
    private static int Connected(RunningSilo silo)
    {
        const int state = 5; // of /proc/net/unix
        return File.ReadLines("/proc/net/unix").Count(l => l.EndsWith($"@orleansfs {silo.Host.Silo!.Gateway}", StringComparison.Ordinal) && l.Split(' ', StringSplitOptions.RemoveEmptyEntries)[state] == "03");
    }

    private Task<DirectCaller> CallerAsync(VolumeConnection connection) => CallerAsync(connection, _silo);

    private static async Task<DirectCaller> CallerAsync(VolumeConnection connection, RunningSilo silo)
    {
        long begun = TimeProvider.System.GetTimestamp();
        while (true)
        {
            if (connection.Direct.CallerOf(silo.Copy) is { } caller)
                return caller;
            Assert.True(TimeProvider.System.GetElapsedTime(begun) < s_patience, "there is no direct connection");
            await Task.Delay(5, Cancellation);
        }
    }
}
