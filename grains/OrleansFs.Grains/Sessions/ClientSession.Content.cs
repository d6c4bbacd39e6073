using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains.Sessions;

/// <content>
/// Content that a client keeps until it is on disk, and makes again at a copy that was started anew. Where the file was immutable or append-only in the meantime (<see cref="InodeFlags.WasGuarded"/>), that would go over
/// records, or over what was never to change: it is refused, for what the file had then went to disk with the flag. What comes after the flag cannot be told from what came before it when it is made again, and so is on
/// disk here before it is answered.
/// </content>
internal sealed partial class ClientSession
{
    /// <summary>Changes content. <c>EPERM</c> where it is made again and must not be.</summary>
    public async ValueTask<TResult> ChangeContentAsync<TResult>(ChangeRequest request, InodeNumber inode, Func<ValueTask<TResult>> change)
        where TResult : struct, IFsResult<TResult>
    {
        bool isAgain = request.Slot == GrainInterfaces.Limits.RecoverySlot;
        if (isAgain && HasLapsed)
            return TResult.Failed(Errno.ENOTCONN);
        if (isAgain && await WasGuardedAsync(inode))
            return TResult.Failed(Errno.EPERM);
        var result = await change();
        // Asked afterwards: a flag that was set before the change went was taken away before it, too.
        if (isAgain || result.Error != Errno.None || !await WasGuardedAsync(inode))
            return result;
        return await Access.SyncHereAsync(inode, CancellationToken.None) is { IsOk: false, Error: var error } ? TResult.Failed(error) : result;
    }

    /// <summary>Whether content that was to be changed is as it was: it was refused before anything of it was done. After any other error a part may have been done, or all.</summary>
    public static bool ChangedNothing(Errno error) => error is Errno.ENOTCONN or Errno.EBUSY or Errno.ESTALE;

    private async ValueTask<bool> WasGuardedAsync(InodeNumber inode) =>
        (await Access.GetAttributesAsync(inode, CancellationToken.None)).TryGet(out var attributes, out _) && (attributes.Flags & InodeFlags.WasGuarded) != 0;
}
