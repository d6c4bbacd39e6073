using System.Collections.Concurrent;
using System.Net;
using Microsoft.Extensions.Logging;
using Orleans;
using Orleans.Serialization;
using OrleansFs.Client.Security;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client.Direct;

/// <summary>
/// Takes the calls for names and for content past Orleans' messages, where the copy that a session is attached to offers that: on a TCP connection of their own to its gateway. What is called, and what is sent, is the same.
/// </summary>
/// <remarks>
/// Orleans hands a call from thread to thread a dozen times on its way to a grain and back, and each of these costs more than the call's work where cores fall asleep. Here the thread that has read a request does it and sends
/// the answer. While there is no connection, calls go as all others do; so nothing depends on it.
/// </remarks>
internal sealed class DirectLanes(Serializer serializer, Handshake handshake, TimeProvider time, ILoggerFactory loggers) : IOutgoingGrainCallFilter, IAsyncDisposable
{
    private readonly ConcurrentDictionary<CopyName, DirectLane> _lanes = new();

    /// <summary>A session is attached to a copy.</summary>
    /// <param name="copy">The copy.</param>
    /// <param name="gateway">Where it can be called directly; null: nowhere.</param>
    public void Offer(CopyName copy, string? gateway)
    {
        if (gateway is null || !IPEndPoint.TryParse(gateway, out var endpoint))
            return;
        _lanes.GetOrAdd(copy, name => new DirectLane(name, serializer, handshake, time, loggers.CreateLogger<DirectLane>())).Offer(endpoint);
    }

    /// <summary>The connection to a copy; null: there is none now.</summary>
    public DirectCaller? CallerOf(CopyName copy) => _lanes.TryGetValue(copy, out var lane) ? lane.Caller : null;

    public Task Invoke(IOutgoingGrainCallContext context)
    {
        var type = context.Request.GetInterfaceType();
        var target = type == typeof(IFileGrain) ? DirectTarget.File : type == typeof(INamespaceGrain) ? DirectTarget.Names : default;
        if (target == default || _lanes.IsEmpty)
            return context.Invoke();
        string key = context.TargetId.Key.ToString()!;
        return CopyKey.TryGetCopy(key, out var copy) && CallerOf(copy) is { } caller
            ? CallAsync(context, caller, target, target == DirectTarget.File ? FileKey.Parse(key).Inode.Value : 0)
            : context.Invoke();
    }

    public async ValueTask DisposeAsync()
    {
        foreach (var lane in _lanes.Values)
            await lane.DisposeAsync();
    }

    private static async Task CallAsync(IOutgoingGrainCallContext context, DirectCaller caller, DirectTarget target, ulong inode) =>
        context.Response = await caller.CallAsync(context.Request, target, inode);
}
