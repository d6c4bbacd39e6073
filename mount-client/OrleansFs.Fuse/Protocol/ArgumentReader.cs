using System.Runtime.CompilerServices;

namespace OrleansFs.Fuse.Protocol;

/// <summary>
/// Reads the arguments of a request. What cannot be right is remembered, not thrown: read all, then ask <see cref="Error"/>.
/// </summary>
internal ref struct ArgumentReader
{
    private const int MaxNameLength = 255; // NAME_MAX; the kernel lets longer ones through (FUSE_NAME_MAX) and leaves the answer to us

    private readonly ReadOnlyMemory<byte> _payload;
    private readonly ReadOnlySpan<byte> _bytes;
    private int _position;

    internal ArgumentReader(Request request)
    {
        _payload = request.Payload;
        _bytes = _payload.Span;
    }

    /// <summary>None; ENAMETOOLONG; EPROTO for what no kernel sends.</summary>
    internal Errno Error { get; private set; }

    /// <summary>A file name: 1 to 255 bytes, ended by a NUL.</summary>
    internal ReadOnlyMemory<byte> Name()
    {
        ReadOnlyMemory<byte> name = Text();
        if (name.Length == 0)
            Fail(Errno.EPROTO);
        else if (name.Length > MaxNameLength)
            Fail(Errno.ENAMETOOLONG);
        return name;
    }

    /// <summary>Bytes ended by a NUL.</summary>
    internal ReadOnlyMemory<byte> Text()
    {
        int length = _bytes[_position..].IndexOf((byte)0);
        if (length < 0)
        {
            Fail(Errno.EPROTO);
            return default;
        }
        ReadOnlyMemory<byte> text = _payload.Slice(_position, length);
        _position += length + 1;
        return text;
    }

    /// <summary>A given number of bytes.</summary>
    internal ReadOnlyMemory<byte> Bytes(uint length)
    {
        if (length > (uint)(_bytes.Length - _position))
        {
            Fail(Errno.EPROTO);
            return default;
        }
        ReadOnlyMemory<byte> bytes = _payload.Slice(_position, (int)length);
        _position += (int)length;
        return bytes;
    }

    /// <summary>An offset or a length: 0 to 2^63-1.</summary>
    internal long Offset(ulong value)
    {
        if (value > long.MaxValue)
            Fail(Errno.EINVAL);
        return (long)value;
    }

    /// <summary>Whether anything was wrong.</summary>
    internal readonly bool Failed
    {
        [MethodImpl(MethodImplOptions.AggressiveInlining)]
        get => Error != Errno.None;
    }

    internal void Fail(Errno error)
    {
        if (Error == Errno.None)
            Error = error;
    }
}
