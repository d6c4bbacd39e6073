using OrleansFs.Fuse;
using OrleansFs.Model;
using Errno = OrleansFs.Fuse.Errno;

namespace OrleansFs.Mount;

/// <content>Where the blocks of a file are: see <see cref="ResidencyIoctl"/>, which says who may ask.</content>
internal sealed partial class VolumeFileSystem
{
    private async ValueTask<FuseResult<IoctlReply>> Why(FuseContext context, Memory<byte> destination)
    {
        var result = await _volume.GetResidencyAsync(Translate.Inode(context.Node), Cancellation(context));
        if (!result.TryGet(out var residency, out var error))
            return Translate.Error(error);
        byte[] answer = ResidencyIoctl.WriteWhy(residency);
        if (answer.Length > destination.Length)
            return Errno.EOVERFLOW;
        answer.CopyTo(destination);
        return new IoctlReply(answer.Length, answer.Length);
    }

    private async ValueTask<FuseResult<IoctlReply>> ChangeResidency(FuseContext context, ReadOnlyMemory<byte> input, Memory<byte> destination)
    {
        if (!ResidencyIoctl.TryReadRequest(input.Span, out var action, out long offset, out long length) || destination.Length < ResidencyIoctl.ChangeSize)
            return Errno.EINVAL;
        var inode = Translate.Inode(context.Node);
        if (action != ResidencyAction.Warm && context.Uid != 0)
        {
            var known = await _volume.GetAttributesAsync(inode, Cancellation(context));
            if (!known.TryGet(out var attributes, out var unknown))
                return Translate.Error(unknown);
            if (attributes.Uid != context.Uid)
                return Errno.EPERM;
        }
        var result = await _volume.ChangeResidencyAsync(inode, action, offset, length, Cancellation(context));
        if (!result.TryGet(out var change, out var error))
            return Translate.Error(error);
        ResidencyIoctl.WriteAnswer(destination.Span, input.Span, change);
        return new IoctlReply(0, ResidencyIoctl.ChangeSize);
    }
}
