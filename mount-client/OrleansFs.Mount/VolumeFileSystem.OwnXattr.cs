using OrleansFs.Fuse;
using OrleansFs.Model;
using Errno = OrleansFs.Fuse.Errno;

namespace OrleansFs.Mount;

/// <content>The extended attributes that the volume answers itself.</content>
internal sealed partial class VolumeFileSystem
{
    /// <remarks>What a program has written and the kernel collects belongs to the file: as for <see cref="LSeek"/>, invalidating makes the kernel write it.</remarks>
    private async ValueTask<FuseResult<int>> GetOwnXattr(FuseContext context, ReadOnlyMemory<byte> name, Memory<byte> destination)
    {
        var cancellation = Cancellation(context);
        byte[] kept = name.ToArray();
        if (_policy.WritebackCache && !Translate.Inode(context.Node).IsOfMount && Notifier is { } notifier && notifier.TryInvalidateInode(context.Node))
            await notifier.FlushAsync(cancellation);
        return await Copy(_volume.GetXattrAsync(Translate.Inode(context.Node), kept, cancellation), destination);
    }

    /// <summary>As <see cref="ResidencyIoctl"/> and chattr(1) have it: pinning is for the owner, append-only for root.</summary>
    private async ValueTask<FuseResult> SetOwnXattr(FuseContext context, SetXAttrRequest request)
    {
        if (!request.Name.Span.SequenceEqual(OwnXattr.Pinned))
            return FuseResult.Fail(Errno.EPERM);
        byte[] name = request.Name.ToArray(), value = request.Value.ToArray();
        var known = await _volume.GetAttributesAsync(Translate.Inode(context.Node), Cancellation(context));
        if (!known.TryGet(out var attributes, out var error))
            return FuseResult.Fail(Translate.Error(error));
        return attributes.Uid != context.Uid
            ? FuseResult.Fail(Errno.EPERM)
            : await Done(_volume.SetXattrAsync(Translate.Inode(context.Node), name, value, (XattrFlags)request.Flags, Cancellation(context)));
    }
}
