using System.Text;
using Microsoft.Extensions.Logging;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>
/// Kept content and what others write. Who changes a file is answered when what is kept of it here is on disk at the copy, so that nothing is made again over that. Others go on without a client that cannot be told:
/// when it comes back to a copy that was started anew, what it still has to write is older than what they wrote. It goes to a copy of the file beside it then, the file stays as they left it, and the next sync of the
/// file fails with <c>EIO</c>. (An NFS client writes it over theirs, or, where it had a lock, drops it with EIO; an SMB client drops it.)
/// </content>
internal sealed partial class RemoteSession
{
    /// <summary>1: the copy is to be told that nothing which was written is in its memory only.</summary>
    private int _isBehind;

    /// <summary>Others have changed files, and are answered after this: what is kept of these files is on disk, or they are doubted.</summary>
    public async Task SettleKeptAsync(InodeNumber[] inodes)
    {
        foreach (var inode in _unstable.Among(inodes))
        {
            long? newest = _unstable.Newest;
            var ticket = Ticket;
            var result = await AnsweredAsync(token => File(inode).SyncHereAsync(ticket, token), _ended.Token);
            if (result.Error == Errno.ENOTCONN)
                throw new CopyAwayException(Copy.Copy);
            if (result.IsOk && newest is { } upTo)
                _unstable.Drop(upTo, inode);
            else
                _unstable.Doubt(inode);
        }
    }

    /// <summary>Others went on without this session: it is told of everything again when what it has written is on disk.</summary>
    private void CatchUp()
    {
        Volatile.Write(ref _isBehind, 1);
        RequestSync();
    }

    /// <summary>Brings to disk what can be, and tells the copy.</summary>
    private async Task TryCatchUpAsync()
    {
        Volatile.Write(ref _isBehind, 0);
        bool isDone = false;
        try
        {
            long lapses = Volatile.Read(ref _lapses);
            if (await StabilizeOnceAsync() is not { } stuck)
                return;
            // What cannot be brought to disk is compared with the file, whatever others did, before it is made again.
            foreach (var inode in stuck)
                _unstable.Doubt(inode);
            isDone = (await AskAsync((ticket, token) => Grain.RecoveredAsync(ticket, lapses, token), _ended.Token)).IsOk;
        }
        finally
        {
            // Tried again when something else is brought to disk.
            if (!isDone)
                Volatile.Write(ref _isBehind, 1);
        }
    }

    /// <summary>Where what is kept of a file is made again: in the file; beside it, where others have changed it since; nowhere, where the file shows it.</summary>
    private async Task<InodeNumber?> PlaceAsync(Attachment to, IReadOnlyList<UnstableChange> changes)
    {
        var grant = to.Grant;
        var inode = changes[0].Inode;
        bool isDoubted = _unstable.IsDoubted(inode);
        if (grant.Lapsed is null && !isDoubted)
            return inode;
        var found = await AnsweredAsync(t => to.Names.GetAttributesAsync(to.Ticket, inode, t), default);
        if (found.Error == Errno.ENOTCONN)
            throw new CopyAwayException(Copy.Copy);
        if (!found.TryGet(out var attributes, out _) || (!isDoubted && grant.Lapsed is { } lapsed && attributes.ChangeTime < lapsed))
            return inode;
        if (await KeptContent.IsShownAsync(changes, attributes.Size, (offset, length) => ReadAgainAsync(to, inode, offset, length)))
            return null;
        var since = grant.Lapsed ?? attributes.ChangeTime;
        var aside = await AnsweredAsync(t => to.Names.SetAsideAsync(Recovery(to.Ticket), inode, since, t), default);
        if (aside.Error == Errno.ENOTCONN || (aside.Error == Errno.EROFS && _options.FollowsMaster))
            throw new CopyAwayException(Copy.Copy);
        _unstable.Lose(inode);
        if (!aside.TryGet(out var file, out var error))
        {
            LogOvertakenLost(_logger, inode, changes.Sum(c => (long)c.Bytes), error);
            return null;
        }
        LogSetAside(_logger, inode, Encoding.UTF8.GetString(file.Name));
        return file.Inode;
    }

    private async ValueTask<ReadOnlyMemory<byte>?> ReadAgainAsync(Attachment to, InodeNumber inode, long offset, int length)
    {
        ContentReply result;
        do
        {
            result = await AnsweredAsync(t => to.File(inode).ReadAsync(to.Ticket, offset, length, ReadFlags.None, t), default);
        }
        while (result.Error == Errno.EBUSY);
        if (result.Error == Errno.ENOTCONN)
            throw new CopyAwayException(Copy.Copy);
        return result.Error == Errno.None ? result.Content.Memory : null;
    }

    /// <returns>Whether all that was made again is on disk. Where it is not it is kept, as if it were answered now.</returns>
    private async Task<bool> SyncAgainAsync(Attachment to)
    {
        var result = await AnsweredAsync(t => to.Names.SyncAllAsync(to.Ticket, t), default);
        if (result.Error == Errno.ENOTCONN)
            throw new CopyAwayException(Copy.Copy);
        return result.IsOk;
    }

    /// <summary>What was kept when the copy was started anew has its place now.</summary>
    private void Settle(IReadOnlyList<UnstableChange> changes, Dictionary<InodeNumber, InodeNumber?> places, long? onDisk)
    {
        foreach (var (inode, place) in places)
        {
            if (place is null && changes is [.., var last])
                _unstable.Drop(last.Sequence, inode);
            else if (place is { } other && other != inode)
                _unstable.Move(inode, other);
        }
        if (onDisk is { } upTo)
            _unstable.Drop(upTo);
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "inode {Inode}: others have changed it while this mount was not heard of, before what was written here was on disk. It stays as it is; with what was written here it is '{Name}' beside it")]
    private static partial void LogSetAside(ILogger logger, InodeNumber inode, string name);

    [LoggerMessage(Level = LogLevel.Error, Message = "inode {Inode}: others have changed it while this mount was not heard of, before {Bytes} bytes that were written here were on disk; they are lost, for no copy of it could be made beside it: {Error}")]
    private static partial void LogOvertakenLost(ILogger logger, InodeNumber inode, long bytes, Errno error);
}
