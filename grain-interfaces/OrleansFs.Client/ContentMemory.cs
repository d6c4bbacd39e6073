using System.Buffers;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>Memory for what a session writes and keeps until it is on disk. Thread-safe.</summary>
/// <remarks>What a large file is written in has the length of the largest message, and as much of it is kept as <see cref="Limits.UnstableBytes"/>: more than the shared pool of arrays holds.</remarks>
internal sealed class ContentMemory(TimeProvider time)
{
    private readonly Slabs _large = new(GrainInterfaces.Limits.MaxTransfer, Limits.UnstableBytes, time);

    /// <param name="length">Bytes needed; there may be more.</param>
    public ContentBuffer Rent(int length)
    {
        if (length > GrainInterfaces.Limits.MaxTransfer / 2 && length <= _large.Length && _large.TryTake(out var piece))
            return new ContentBuffer(piece, null);
        byte[] array = ArrayPool<byte>.Shared.Rent(length);
        return new ContentBuffer(array, array);
    }

    /// <param name="buffer">Of this memory.</param>
    /// <param name="isLent">A message with it may still be on its way out: it is left to the collector.</param>
    public void Return(ContentBuffer buffer, bool isLent)
    {
        if (buffer.Array is { } array)
        {
            if (!isLent)
                ArrayPool<byte>.Shared.Return(array);
        }
        else if (isLent)
        {
            _large.Lose();
        }
        else
        {
            _large.Return(buffer.Memory);
        }
    }

    /// <summary>Gives back what has not been of use for a while.</summary>
    public void Release() => _large.Release(Limits.ContentMemoryKept);
}

/// <summary>Memory of a <see cref="ContentMemory"/>, given back once.</summary>
/// <param name="Memory">The memory.</param>
/// <param name="Array">Whose it is, where it is an array of the shared pool.</param>
internal readonly record struct ContentBuffer(Memory<byte> Memory, byte[]? Array);
