using Orleans;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>The outcome of a call that gives content.</summary>
[GenerateSerializer, Immutable, Alias("ofs.ContentReply")]
public readonly record struct ContentReply : IFsResult<ContentReply>
{
    [Id(0)] public Errno Error { get; init; }

    [Id(1)] public Payload Content { get; init; }

    public static implicit operator ContentReply(Errno error) => new() { Error = error };

    static ContentReply IFsResult<ContentReply>.Failed(Errno error) => error;
}
