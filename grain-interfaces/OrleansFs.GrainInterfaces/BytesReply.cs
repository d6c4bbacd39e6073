using Orleans;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>The outcome of a call that gives bytes.</summary>
/// <remarks>
/// A type of its own, for <see cref="FsResult{T}"/> is generic: what is generated for it takes Orleans' codec for memory of anything, which writes an element at a time, with a header each. It does not take the one for memory of bytes
/// (<c>CodecProvider</c> looks for the generic type first): a read of 1 MiB took 45 ms of a processor by that.
/// </remarks>
[GenerateSerializer, Immutable, Alias("ofs.BytesReply")]
public readonly record struct BytesReply : IFsResult<BytesReply>
{
    [Id(0)] public Errno Error { get; init; }

    [Id(1)] public ReadOnlyMemory<byte> Bytes { get; init; }

    public static implicit operator BytesReply(Errno error) => new() { Error = error };

    public static implicit operator BytesReply(FsResult<ReadOnlyMemory<byte>> result) => result.TryGet(out var bytes, out var error) ? new() { Bytes = bytes } : new() { Error = error };

    static BytesReply IFsResult<BytesReply>.Failed(Errno error) => error;

    public static async ValueTask<BytesReply> Of(ValueTask<FsResult<ReadOnlyMemory<byte>>> call) => await call;

    public FsResult<ReadOnlyMemory<byte>> ToResult() => Error == Errno.None ? Bytes : Error;
}
