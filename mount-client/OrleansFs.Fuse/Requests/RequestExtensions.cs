using System.Buffers.Binary;

namespace OrleansFs.Fuse;

/// <summary>
/// The extension records behind the arguments of a request that makes an inode (fuse_ext_header, protocol 7.36 and 7.38). Empty unless
/// <see cref="FuseCapabilities.CreateSupplementaryGroup"/> or <see cref="FuseCapabilities.SecurityContext"/> was agreed. Lent for the call.
/// </summary>
/// <param name="Raw">The records, each beginning with its size (u32) and type (u32), padded to 8 bytes.</param>
public readonly record struct RequestExtensions(ReadOnlyMemory<byte> Raw)
{
    private const uint TypeSupplementaryGroups = 32; // FUSE_EXT_GROUPS
    private const uint MaxSecurityContexts = 31; // FUSE_MAX_NR_SECCTX: types up to it are a count of contexts

    /// <summary>The caller's supplementary group that owns the parent directory; absent when the caller is not in it.</summary>
    public bool TryGetSupplementaryGroup(out uint group)
    {
        group = 0;
        if (!TryFind(type => type == TypeSupplementaryGroups, out ReadOnlySpan<byte> body) || body.Length < 8)
            return false;
        if (BinaryPrimitives.ReadUInt32LittleEndian(body) == 0)
            return false;
        group = BinaryPrimitives.ReadUInt32LittleEndian(body[4..]);
        return true;
    }

    /// <summary>The first security context to store with the new inode: the xattr's name and its value.</summary>
    public bool TryGetSecurityContext(out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value)
    {
        name = default;
        value = default;
        if (!TryFind(type => type is > 0 and <= MaxSecurityContexts, out ReadOnlySpan<byte> body) || body.Length < 8)
            return false;
        uint size = BinaryPrimitives.ReadUInt32LittleEndian(body); // fuse_secctx: size of the value, padding, name\0, value
        ReadOnlySpan<byte> rest = body[8..];
        int end = rest.IndexOf((byte)0);
        if (end < 0 || size > (uint)(rest.Length - end - 1))
            return false;
        name = rest[..end];
        value = rest.Slice(end + 1, (int)size);
        return true;
    }

    private bool TryFind(Func<uint, bool> wanted, out ReadOnlySpan<byte> body)
    {
        ReadOnlySpan<byte> rest = Raw.Span;
        while (rest.Length >= 8)
        {
            uint size = BinaryPrimitives.ReadUInt32LittleEndian(rest);
            if (size < 8 || size > rest.Length)
                break;
            if (wanted(BinaryPrimitives.ReadUInt32LittleEndian(rest[4..])))
            {
                body = rest[8..(int)size];
                return true;
            }
            rest = rest[Math.Min(rest.Length, ((int)size + 7) & ~7)..];
        }
        body = default;
        return false;
    }
}
