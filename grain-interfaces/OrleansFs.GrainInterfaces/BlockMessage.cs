using Orleans;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>A <see cref="ShippedBlock"/> in a message. Its payload is for the time of the call: some thousand arrays of the size of a block each second would keep the garbage collector at work.</summary>
[GenerateSerializer, Immutable, Alias("ofs.BlockMessage")]
public readonly record struct BlockMessage
{
    [Id(0)] public required BlockHash Hash { get; init; }

    /// <summary>Bytes of content, 1 to S.</summary>
    [Id(1)] public required int Length { get; init; }

    /// <summary>The payload is one LZ4 block; otherwise it is the content.</summary>
    [Id(2)] public required bool IsCompressed { get; init; }

    [Id(3)] public required Payload Payload { get; init; }

    public static BlockMessage Of(ShippedBlock block) => new() { Hash = block.Hash, Length = block.Length, IsCompressed = block.IsCompressed, Payload = block.Payload };

    /// <summary>The block. Not to be looked at after <see cref="Payload.Release"/>.</summary>
    public ShippedBlock ToBlock() => new() { Hash = Hash, Length = Length, IsCompressed = IsCompressed, Payload = Payload.Memory };
}
