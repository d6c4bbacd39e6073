using System.IO.Pipelines;
using System.Security.Cryptography;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using OrleansFs.Client.Security;
using OrleansFs.Client.Transport;
using OrleansFs.Cluster.Tests.Support;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>The handshake by itself: who gets through to what is behind it.</summary>
public sealed class HandshakeTests
{
    private const int Challenge = 4 + 32;
    private const int Answer = 32 + 32;

    private readonly ManualTime _time = new();
    private readonly ClusterSecret _secret = new(RandomNumberGenerator.GetBytes(ClusterSecret.Size));

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Two_that_know_the_secret_speak_and_nothing_said_afterwards_is_lost()
    {
        var (left, right) = Connect();
        string? heard = null;
        var listener = Run(h => h.Listen, left, async pipe => await pipe.Output.WriteAsync("hello"u8.ToArray(), Cancellation));
        var caller = Run(h => h.Call, right, async pipe => heard = System.Text.Encoding.UTF8.GetString((await pipe.Input.ReadAtLeastAsync(5, Cancellation)).Buffer.FirstSpan));
        await Task.WhenAll(listener, caller);
        Assert.Equal("hello", heard);
    }

    [Fact]
    public async Task A_listener_does_not_accept_its_own_words_again()
    {
        var (left, right) = Connect();
        var refused = Assert.ThrowsAsync<ConnectionAbortedException>(() => Run(h => h.Listen, left, Never));
        // An attacker opens a second connection, to learn from the listener what it then says on the first: a listener proves itself only to who has proved itself.
        byte[] challenge = await ReadAsync(right, Challenge);
        await right.Output.WriteAsync((byte[])[.. challenge[4..], .. challenge[4..]], Cancellation);
        await refused;
    }

    [Fact]
    public async Task What_proved_itself_on_one_connection_proves_nothing_on_another()
    {
        var (left, middle) = Connect();
        var (middleToo, right) = Connect();
        var listener = Run(h => h.Listen, left, _ => Task.CompletedTask);
        var caller = Run(h => h.Call, right, _ => Task.CompletedTask);
        byte[] challenge = await ReadAsync(middle, Challenge);
        await middleToo.Output.WriteAsync(challenge, Cancellation);
        byte[] answer = await ReadAsync(middleToo, Answer);
        await middle.Output.WriteAsync(answer, Cancellation);
        byte[] proof = await ReadAsync(middle, 32);
        await middleToo.Output.WriteAsync(proof, Cancellation);
        await Task.WhenAll(listener, caller);

        var (second, attacker) = Connect();
        var refused = Assert.ThrowsAsync<ConnectionAbortedException>(() => Run(h => h.Listen, second, Never));
        await ReadAsync(attacker, Challenge);
        await attacker.Output.WriteAsync(answer, Cancellation);
        await refused;

        var (stranger, third) = Connect();
        var refusedToo = Assert.ThrowsAsync<ConnectionAbortedException>(() => Run(h => h.Call, third, Never));
        await stranger.Output.WriteAsync(challenge, Cancellation);
        await ReadAsync(stranger, Answer);
        await stranger.Output.WriteAsync(proof, Cancellation);
        await refusedToo;
    }

    [Theory]
    [InlineData("", "@door")]
    [InlineData("@door", "")]
    [InlineData("@door", "@other")]
    public async Task What_is_handed_on_to_another_way_proves_nothing(string callersWay, string listenersWay)
    {
        var (left, right) = Connect();
        var refused = Assert.ThrowsAsync<ConnectionAbortedException>(() => Run(h => h.Listen, left, Never, listenersWay));
        var caller = Run(h => h.Call, right, Never, callersWay);
        await refused;
        await left.Output.CompleteAsync();
        await Assert.ThrowsAsync<ConnectionAbortedException>(() => caller);
    }

    [Theory]
    [InlineData("HTTP/1.1 400 Bad Request\r\n\r\n and more of it")]
    [InlineData("OFS0....................................")]
    public async Task A_caller_says_nothing_to_what_is_no_listener_of_ours(string says)
    {
        var (stranger, right) = Connect();
        await stranger.Output.WriteAsync(System.Text.Encoding.ASCII.GetBytes(says), Cancellation);
        await Assert.ThrowsAsync<ConnectionAbortedException>(() => Run(h => h.Call, right, Never));
        Assert.False(stranger.Input.TryRead(out _));
    }

    [Theory]
    [InlineData(0)]
    [InlineData(63)]
    public async Task Who_does_not_answer_in_time_is_hung_up_on(int bytes)
    {
        var (left, right) = Connect();
        var refused = Assert.ThrowsAsync<ConnectionAbortedException>(() => Run(h => h.Listen, left, Never));
        await ReadAsync(right, Challenge);
        if (bytes > 0)
            await right.Output.WriteAsync(new byte[bytes], Cancellation);
        _time.Advance(TimeSpan.FromSeconds(10));
        Assert.IsType<OperationCanceledException>((await refused).InnerException, exactMatch: false);
    }

    [Fact]
    public async Task Who_hangs_up_in_the_middle_is_told_from_who_is_slow()
    {
        var (left, right) = Connect();
        var refused = Assert.ThrowsAsync<ConnectionAbortedException>(() => Run(h => h.Listen, left, Never));
        await right.Output.WriteAsync(new byte[10], Cancellation);
        await right.Output.CompleteAsync();
        Assert.Contains("closed", (await refused).Message, StringComparison.Ordinal);
    }

    private static Task Never(IDuplexPipe pipe) => throw new InvalidOperationException("a stranger got through");

    private static (IDuplexPipe Left, IDuplexPipe Right) Connect()
    {
        var (one, other) = (new Pipe(), new Pipe());
        return (new Duplex(one.Reader, other.Writer), new Duplex(other.Reader, one.Writer));
    }

    private static async Task<byte[]> ReadAsync(IDuplexPipe pipe, int count)
    {
        var bytes = (await pipe.Input.ReadAtLeastAsync(count, Cancellation)).Buffer.Slice(0, count);
        byte[] read = System.Buffers.BuffersExtensions.ToArray(bytes);
        pipe.Input.AdvanceTo(bytes.End);
        return read;
    }

    private async Task Run(Func<Handshake, Action<IConnectionBuilder>> side, IDuplexPipe pipe, Func<IDuplexPipe, Task> behind, string way = "")
    {
        await using var services = new ServiceCollection().BuildServiceProvider();
        var builder = new ConnectionBuilder(services);
        side(new Handshake(_secret, _time))(builder);
        builder.Run(connection => behind(connection.Transport));
        await using var context = new DefaultConnectionContext("test") { Transport = pipe };
        var connection = new Proof(way);
        context.Features.Set<IProvableConnection>(connection);
        try
        {
            await builder.Build()(context);
        }
        catch
        {
            Assert.False(connection.IsProven);
            throw;
        }
        Assert.True(connection.IsProven);
    }

    private sealed class Proof(string way) : IProvableConnection
    {
        public string Way => way;

        public bool IsProven { get; private set; }

        public void Proven() => IsProven = true;
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;
}
