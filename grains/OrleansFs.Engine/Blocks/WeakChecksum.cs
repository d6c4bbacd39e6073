namespace OrleansFs.Engine.Blocks;

/// <summary>A rolling checksum of a block, 64 bits wide. Never the identity of anything: what it finds is confirmed by SHA-256.</summary>
internal readonly record struct WeakChecksum(ulong Value)
{
    public static WeakChecksum Compute(ReadOnlySpan<byte> content) => throw new NotImplementedException();
}

/// <summary>The weak checksum of a window of fixed length that slides over data.</summary>
internal struct RollingChecksum
{
    /// <param name="window">The first window.</param>
    public RollingChecksum(ReadOnlySpan<byte> window) => throw new NotImplementedException();

    public readonly WeakChecksum Value => throw new NotImplementedException();

    /// <summary>Slides by one byte: <paramref name="leaving"/> was the window's first, <paramref name="entering"/> becomes its last.</summary>
    public void Roll(byte leaving, byte entering) => throw new NotImplementedException();
}
