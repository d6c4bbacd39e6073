using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansFs.Engine.Blocks;

/// <summary>Memory that goes to the disk without the page cache (O_DIRECT of open(2)): address and length are multiples of what any file system asks for.</summary>
internal static unsafe class DirectBuffer
{
    /// <summary>Bytes: a page.</summary>
    public const int Alignment = 4096;

    [ThreadStatic]
    private static byte[]? t_buffer;

    /// <summary>Memory of this thread, good until it asks again: for threads that few work items run on.</summary>
    /// <param name="length">Bytes: a multiple of <see cref="Alignment"/>, up to <see cref="BlockLimits.MaxContent"/>.</param>
    public static Span<byte> OfThread(int length)
    {
        if (t_buffer is null || t_buffer.Length < length + Alignment)
            t_buffer = GC.AllocateUninitializedArray<byte>(length + Alignment, pinned: true);
        return Align(t_buffer)[..length];
    }

    /// <summary>Whether it can be written as it lies: it is not to move.</summary>
    public static bool IsAligned(ReadOnlySpan<byte> memory) => memory.Length % Alignment == 0 && (nuint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(memory)) % Alignment == 0;

    /// <summary>The part of a span that does not move from where it is aligned on: shorter by <see cref="Alignment"/>.</summary>
    public static Span<byte> Align(Span<byte> memory)
    {
        nuint start = (nuint)Unsafe.AsPointer(ref MemoryMarshal.GetReference(memory));
        return memory.Slice((int)(((start + Alignment - 1) & ~(nuint)(Alignment - 1)) - start), memory.Length - Alignment);
    }
}
