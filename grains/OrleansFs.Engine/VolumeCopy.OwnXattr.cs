using System.Globalization;
using System.Text;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <content>The extended attributes that the volume answers itself: see <see cref="OwnXattr"/>.</content>
public sealed partial class VolumeCopy
{
    /// <summary><c>ENODATA</c> for a name that there is not, and for what is no regular file.</summary>
    internal async ValueTask<FsResult<ReadOnlyMemory<byte>>> GetOwnXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, CancellationToken cancellation)
    {
        if (!_metadata.GetAttributes(inode).TryGet(out var attributes, out var gone))
            return gone;
        if (name.Span.SequenceEqual(OwnXattr.AppendOnly))
            return Text((attributes.Flags & InodeFlags.AppendOnly) != 0 ? 1 : 0);
        if (!attributes.IsRegular)
            return Errno.ENODATA;
        try
        {
            // What is told is of the file as it is now, and not of the one that was settled last.
            if (!ReadOnly && await SettleAsync(inode, cancellation) is { IsOk: false, Error: var error })
                return error;
            return name.Span.SequenceEqual(OwnXattr.Hash)
                ? _metadata.ContentHash(inode) is { } hash ? new ReadOnlyMemory<byte>(Encoding.ASCII.GetBytes(hash.ToString())) : Errno.ESTALE
                : await Task.Run(() => Counted(inode, attributes, name.Span), cancellation);
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
        catch (MetadataException e)
        {
            return e.Error;
        }
    }

    /// <summary><c>EPERM</c> for one that cannot be set, <c>EINVAL</c> for a value that is neither 0 nor 1. Who may is for the caller to check.</summary>
    internal async ValueTask<FsResult> SetOwnXattrAsync(InodeNumber inode, ReadOnlyMemory<byte> name, ReadOnlyMemory<byte> value, XattrFlags flags, CancellationToken cancellation)
    {
        bool pins = name.Span.SequenceEqual(OwnXattr.Pinned);
        if (!pins && !name.Span.SequenceEqual(OwnXattr.AppendOnly))
            return Errno.EPERM;
        if ((flags & XattrFlags.Create) != 0)
            return Errno.EEXIST;
        if (!OwnXattr.TryReadFlag(value.Span, out bool on))
            return Errno.EINVAL;
        if (pins)
            return (await ChangeResidencyAsync(inode, on ? ResidencyAction.Pin : ResidencyAction.Unpin, 0, long.MaxValue, cancellation)).Error;
        if (!_metadata.GetAttributes(inode).TryGet(out var attributes, out var gone))
            return gone;
        var wanted = on ? attributes.Flags | InodeFlags.AppendOnly : attributes.Flags & ~InodeFlags.AppendOnly;
        return wanted == attributes.Flags ? FsResult.Ok : (await SetAttributesAsync(inode, new AttributeChange { Mask = AttributeMask.Flags, Flags = wanted }, default, null, cancellation)).Error;
    }

    private FsResult<ReadOnlyMemory<byte>> Counted(InodeNumber inode, in Attributes attributes, ReadOnlySpan<byte> name)
    {
        if (name.SequenceEqual(OwnXattr.Copies))
            return Why(inode).TryGet(out var why, out var error) ? Text(why.Copies) : error;
        bool blocks = name.SequenceEqual(OwnXattr.Blocks), local = name.SequenceEqual(OwnXattr.Local);
        if (!blocks && !local && !name.SequenceEqual(OwnXattr.Pinned))
            return Errno.ENODATA;
        long count = 0, bytes = 0, kept = 0;
        foreach (var hash in BlocksOf(inode, 0, attributes.Size))
        {
            count++;
            if (blocks || !_metadata.TryGetBlock(hash, out var row))
                continue;
            bytes += local && _blocks.Files.Exists(hash) ? row.Length : 0;
            kept += row.Residency == Residency.Kept ? 1 : 0;
        }
        return Text(blocks ? count : local ? bytes : count > 0 && kept == count ? 1 : 0);
    }

    private static ReadOnlyMemory<byte> Text(long value) => Encoding.ASCII.GetBytes(value.ToString(CultureInfo.InvariantCulture));
}
