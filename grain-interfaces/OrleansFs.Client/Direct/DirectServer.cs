using System.Buffers;
using System.Collections.Concurrent;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using Orleans.Serialization;
using Orleans.Serialization.Invocation;
using OrleansFs.Model;

namespace OrleansFs.Client.Direct;

/// <summary>A copy's grains, as they are called directly: of the same classes as those that Orleans activates, which have no state of their own.</summary>
public interface IDirectTargets
{
    /// <summary>The copy.</summary>
    CopyName Copy { get; }

    /// <summary>A grain; null for what there is not.</summary>
    /// <param name="target">Which.</param>
    /// <param name="inode">Which inode's, for a <see cref="DirectTarget.File"/>.</param>
    object? Find(DirectTarget target, InodeNumber inode);
}

/// <summary>Takes direct connections at a silo's gateway, beside those of Orleans, which it hands on.</summary>
public sealed class DirectServer(IDirectTargets targets) : IDisposable
{
    private readonly ConcurrentDictionary<ConnectionContext, bool> _connections = new();
    private volatile bool _isStopped;

    /// <summary>After the handshake of the cluster.</summary>
    public void Listen(IConnectionBuilder builder)
    {
        var serializer = builder.ApplicationServices.GetRequiredService<Serializer>();
        var logger = builder.ApplicationServices.GetRequiredService<ILoggerFactory>().CreateLogger<DirectServer>();
        builder.Use(next => context => RunAsync(context, next, serializer, logger));
    }

    /// <summary>Ends all connections; what is under way is done, and not answered.</summary>
    public void Dispose()
    {
        _isStopped = true;
        foreach (var context in _connections.Keys)
            context.Abort(new ConnectionAbortedException("the silo stops"));
    }

    private async Task RunAsync(ConnectionContext context, ConnectionDelegate next, Serializer serializer, ILogger logger)
    {
        if (!await IsDirectAsync(context.Transport.Input, context.ConnectionClosed))
        {
            await next(context);
            return;
        }
        if (await GreetedAsync(context) != targets.Copy || _isStopped)
            return;
        _connections[context] = true;
        try
        {
            if (_isStopped)
                return;
            await context.Transport.Output.WriteAsync(new byte[] { 1 }, context.ConnectionClosed);
            await new DirectCallee(context, serializer, targets, logger).RunAsync();
        }
        finally
        {
            _connections.TryRemove(context, out _);
        }
    }

    private static async Task<bool> IsDirectAsync(PipeReader input, CancellationToken cancellation)
    {
        var result = await input.ReadAtLeastAsync(DirectConnection.Greeting.Length, cancellation);
        bool isDirect = StartsWithGreeting(result.Buffer);
        input.AdvanceTo(isDirect ? result.Buffer.GetPosition(DirectConnection.Greeting.Length) : result.Buffer.Start);
        return isDirect;
    }

    private static bool StartsWithGreeting(ReadOnlySequence<byte> buffer)
    {
        if (buffer.Length < DirectConnection.Greeting.Length)
            return false;
        Span<byte> first = stackalloc byte[DirectConnection.Greeting.Length];
        buffer.Slice(0, first.Length).CopyTo(first);
        return first.SequenceEqual(DirectConnection.Greeting);
    }

    private static async Task<CopyName?> GreetedAsync(ConnectionContext context)
    {
        var input = context.Transport.Input;
        var result = await input.ReadAtLeastAsync(1, context.ConnectionClosed);
        if (result.Buffer.IsEmpty)
            return null;
        int length = result.Buffer.FirstSpan[0];
        input.AdvanceTo(result.Buffer.GetPosition(1));
        result = await input.ReadAtLeastAsync(length, context.ConnectionClosed);
        if (result.Buffer.Length < length)
            return null;
        string name = Encoding.UTF8.GetString(result.Buffer.Slice(0, length));
        input.AdvanceTo(result.Buffer.GetPosition(length));
        return CopyName.TryParse(name, out var copy) ? copy : null;
    }
}
