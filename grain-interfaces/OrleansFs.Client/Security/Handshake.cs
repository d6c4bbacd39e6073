using System.Buffers;
using System.IO.Pipelines;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Microsoft.AspNetCore.Http.Features;
using OrleansFs.Client.Transport;

namespace OrleansFs.Client.Security;

/// <summary>
/// What both ends of a connection say before Orleans says anything: each proves that it knows the cluster's secret, without telling it.
/// </summary>
/// <remarks>
/// <para>The listener sends <c>OFS1</c> and a nonce; the caller a nonce and HMAC-SHA256(secret, "orleansfs caller" | listener's nonce | caller's nonce | way); the listener, when that is right,
/// HMAC-SHA256(secret, "orleansfs listener" | caller's nonce | listener's nonce | way). All nonces and codes are 32 bytes. A challenge and response as in RFC 2195, in both directions; the labels keep
/// one end's answer from being sent back to it, and the way (<see cref="IProvableConnection.Way"/>) from being handed on by who has taken the name of a silo's <see cref="LocalDoor"/>. There is one version and nothing to negotiate, so nothing to talk an end down to.</para>
/// <para>It keeps strangers out. It encrypts nothing: on a network that others can listen to, silos and mounts belong into a VPN.</para>
/// </remarks>
public sealed class Handshake(ClusterSecret secret, TimeProvider time)
{
    private const int NonceSize = 32;
    private const int CodeSize = HMACSHA256.HashSizeInBytes;

    /// <summary>What a listener says first, before its nonce.</summary>
    public static ReadOnlySpan<byte> Greeting => "OFS1"u8;

    private static ReadOnlySpan<byte> CallerLabel => "orleansfs caller"u8;

    private static ReadOnlySpan<byte> ListenerLabel => "orleansfs listener"u8;

    /// <summary>For connections that are accepted.</summary>
    public void Listen(IConnectionBuilder builder) => builder.Use(next => context => RunAsync(context, next, ListenAsync));

    /// <summary>For connections that are made.</summary>
    public void Call(IConnectionBuilder builder) => builder.Use(next => context => RunAsync(context, next, CallAsync));

    /// <summary>For a connection that was made otherwise.</summary>
    /// <exception cref="ConnectionAbortedException">The other end is none of this cluster.</exception>
    public Task ProveAsync(ConnectionContext context) => RunAsync(context, _ => Task.CompletedTask, CallAsync);

    private async Task RunAsync(ConnectionContext context, ConnectionDelegate next, Func<IDuplexPipe, byte[], CancellationToken, Task> prove)
    {
        var connection = context.Features.GetRequiredFeature<IProvableConnection>();
        using (var patience = new CancellationTokenSource(Limits.Handshake, time))
        using (var linked = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, context.ConnectionClosed))
        {
            try
            {
                await prove(context.Transport, Encoding.UTF8.GetBytes(connection.Way), linked.Token);
                connection.Proven();
            }
            catch (OperationCanceledException e) when (e is not ConnectionAbortedException)
            {
                throw new ConnectionAbortedException($"{context.RemoteEndPoint} did not prove in time that it belongs to this cluster", e);
            }
        }
        await next(context);
    }

    private async Task ListenAsync(IDuplexPipe pipe, byte[] way, CancellationToken cancellation)
    {
        byte[] nonce = RandomNumberGenerator.GetBytes(NonceSize);
        await WriteAsync(pipe.Output, [.. Greeting, .. nonce], cancellation);
        byte[] answer = await ReadAsync(pipe.Input, NonceSize + CodeSize, cancellation);
        var callerNonce = answer.AsMemory(0, NonceSize);
        Verify(answer.AsSpan(NonceSize), Code(CallerLabel, nonce, callerNonce.Span, way));
        await WriteAsync(pipe.Output, Code(ListenerLabel, callerNonce.Span, nonce, way), cancellation);
    }

    private async Task CallAsync(IDuplexPipe pipe, byte[] way, CancellationToken cancellation)
    {
        byte[] challenge = await ReadAsync(pipe.Input, Greeting.Length + NonceSize, cancellation);
        if (!challenge.AsSpan().StartsWith(Greeting))
            throw new ConnectionAbortedException("the other end is no silo of OrleansFs");
        byte[] nonce = RandomNumberGenerator.GetBytes(NonceSize);
        var listenerNonce = challenge.AsMemory(Greeting.Length);
        await WriteAsync(pipe.Output, [.. nonce, .. Code(CallerLabel, listenerNonce.Span, nonce, way)], cancellation);
        byte[] answer = await ReadAsync(pipe.Input, CodeSize, cancellation);
        Verify(answer, Code(ListenerLabel, nonce, listenerNonce.Span, way));
    }

    private byte[] Code(ReadOnlySpan<byte> label, ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, ReadOnlySpan<byte> way) => HMACSHA256.HashData(secret.Key, [.. label, .. first, .. second, .. way]);

    private static void Verify(ReadOnlySpan<byte> code, ReadOnlySpan<byte> expected)
    {
        if (!CryptographicOperations.FixedTimeEquals(code, expected))
            throw new ConnectionAbortedException("the other end does not know the secret of this cluster");
    }

    private static async Task WriteAsync(PipeWriter output, byte[] bytes, CancellationToken cancellation) => await output.WriteAsync(bytes, cancellation);

    private static async Task<byte[]> ReadAsync(PipeReader input, int count, CancellationToken cancellation)
    {
        var result = await input.ReadAtLeastAsync(count, cancellation);
        if (result.Buffer.Length < count)
        {
            input.AdvanceTo(result.Buffer.Start, result.Buffer.End);
            throw new ConnectionAbortedException("the connection was closed before both ends had shown that they belong to one cluster");
        }
        var bytes = result.Buffer.Slice(0, count);
        byte[] read = bytes.ToArray();
        input.AdvanceTo(bytes.End);
        return read;
    }
}
