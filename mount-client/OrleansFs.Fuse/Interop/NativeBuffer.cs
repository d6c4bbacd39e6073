using System.Buffers;

namespace OrleansFs.Fuse.Interop;

/// <summary>
/// Page-aligned memory straight from the kernel: address space until it is touched. Its Memory may be lent to handlers; freed by its owner only, when nothing
/// is lent any more (there is no finaliser: a mount that gives up on a handler leaks on purpose rather than let it write into freed memory).
/// </summary>
internal sealed unsafe class NativeBuffer : MemoryManager<byte>
{
    private nint _address;

    internal NativeBuffer(int length)
    {
        Length = length;
        _address = Libc.MMap(0, (nuint)length, Libc.PROT_READ_WRITE, Libc.MAP_PRIVATE_ANONYMOUS | Libc.MAP_NORESERVE, -1, 0);
        if (_address == -1)
            throw new InsufficientMemoryException($"mmap of {length} bytes failed with {Libc.LastError}.");
    }

    internal int Length { get; }

    internal byte* Pointer => (byte*)_address;

    public override Memory<byte> Memory => CreateMemory(Length);

    public override Span<byte> GetSpan() => new((void*)_address, Length);

    public override MemoryHandle Pin(int elementIndex = 0) => new((byte*)_address + elementIndex);

    public override void Unpin()
    {
    }

    protected override void Dispose(bool disposing)
    {
        nint address = Interlocked.Exchange(ref _address, 0);
        if (address != 0)
            _ = Libc.MUnmap(address, (nuint)Length);
    }

    internal void Free() => Dispose(true);
}
