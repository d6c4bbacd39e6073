using OrleansFs.Model;

namespace OrleansFs.Engine.Blocks;

/// <summary>Builds a file's content hash out of the hashes of its blocks, in order. Not thread-safe.</summary>
internal sealed class ContentHashBuilder : IDisposable
{
    public ContentHashBuilder(int blockSize) => throw new NotImplementedException();

    /// <summary>The next block; <see cref="BlockHash.Hole"/> for one that is all zero.</summary>
    public void Append(BlockHash hash) => throw new NotImplementedException();

    /// <summary>The next blocks, 32 bytes each, as a manifest segment holds them.</summary>
    public void Append(ReadOnlySpan<byte> hashes) => throw new NotImplementedException();

    /// <summary>The next <paramref name="count"/> blocks are holes: as cheap for 2^50 of them as for one.</summary>
    public void AppendHoles(long count) => throw new NotImplementedException();

    /// <summary>The hash of the whole. Blocks that were not appended are holes.</summary>
    /// <param name="length">Bytes of the file.</param>
    public BlockHash Finish(long length) => throw new NotImplementedException();

    public void Dispose() => throw new NotImplementedException();
}

/// <summary>Computes the content hash of any local data, as <c>orleansfs hash</c> does.</summary>
public static class ContentHasher
{
    /// <summary>Hashes a stream from where it stands to its end.</summary>
    /// <param name="stream">Read in large sequential pieces.</param>
    /// <param name="blockSize">S of the volume to compare with: a power of two, 4 KiB to 4 MiB.</param>
    /// <param name="progress">Told the bytes hashed so far.</param>
    /// <param name="cancellation">Stops between pieces.</param>
    public static Task<BlockHash> HashAsync(Stream stream, int blockSize, IProgress<long>? progress, CancellationToken cancellation) => throw new NotImplementedException();
}
