namespace OrleansFs.Engine.Blocks;

/// <summary>Blocks to be fetched before they are asked for.</summary>
internal readonly record struct ReadAheadRange(long FirstBlock, int Count)
{
    public bool IsEmpty => Count == 0;
}

/// <summary>Decides, for one open file, which blocks to read ahead: none unless access is sequential. No I/O of its own: resolve the range in the manifest and give it to <see cref="BlockStore.Prefetch"/>.</summary>
/// <remarks>A struct without allocation, for the file's own object to hold. Calls that race give a worse guess and nothing else.</remarks>
internal struct ReadAhead
{
    /// <summary>Told each read before it is done.</summary>
    /// <param name="offset">First byte read.</param>
    /// <param name="length">Bytes read.</param>
    /// <param name="blockSize">S.</param>
    public ReadAheadRange Observe(long offset, int length, int blockSize) => throw new NotImplementedException();
}
