using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>setattr: chmod, chown, utimensat, inode flags. Rules of setattr_prepare and notify_change in Linux' attr.c, chown_common in open.c,
/// may_setattr.</content>
internal sealed partial class MetadataStore
{
    private const InodeFlags SettableFlags = InodeFlags.Immutable | InodeFlags.AppendOnly | InodeFlags.NoDump | InodeFlags.NoAccessTime;
    private const AttributeMask Owner = AttributeMask.Uid | AttributeMask.Gid;
    private const AttributeMask ExplicitTimes = AttributeMask.AccessTime | AttributeMask.ModifyTime;
    private const AttributeMask PresentTimes = AttributeMask.AccessTimeNow | AttributeMask.ModifyTimeNow;

    private static ReadOnlySpan<byte> Capability => "security.capability"u8;

    /// <summary>Everything of a setattr but the size. EPERM by inode flags, EOPNOTSUPP for a flag that cannot be set, ESTALE for an inode that was
    /// purged.</summary>
    /// <remarks>A chown of anything but a directory clears set-user-ID, and set-group-ID where the group may execute, and drops file capabilities, whoever
    /// calls.
    /// <see cref="AttributeMask.KillPrivileges"/> alone, where there is nothing to clear, takes no lock and changes no time. A change that names nothing is
    /// chown(2) with -1
    /// twice: the change time alone.</remarks>
    public FsResult<Attributes> ApplyAttributes(Inode inode, in AttributeChange change, in Caller caller)
    {
        var shown = inode.Snapshot();
        if (change.Mask == AttributeMask.KillPrivileges && WithoutPrivileges(shown) == shown.Mode && inode.XattrBytes == 0)
            return shown;
        lock (Lock)
        {
            if (Enter() is var error and not Errno.None)
                return error;
            if (inode.IsGone)
                return Errno.ESTALE;
            try
            {
                shown = inode.Snapshot();
                if (CheckAttributes(shown.Flags, change) is var refused and not Errno.None)
                    return refused;
                uint mode = NewMode(shown, change);
                bool kills = !shown.IsDirectory && (change.Mask & (Owner | AttributeMask.KillPrivileges)) != 0;
                int xattrBytes = inode.XattrBytes;
                bool dropped = kills && DropXattr(inode, Capability, ref xattrBytes);
                if (change.Mask == AttributeMask.KillPrivileges && mode == shown.Mode && !dropped)
                    return shown;
                if ((change.Mask & AttributeMask.Mode) != 0)
                    ChangeAclMode(inode, mode, ref xattrBytes);
                inode.XattrBytes = xattrBytes;
                if ((change.Mask & AttributeMask.Flags) != 0 && (shown.Flags & ~change.Flags & InodeFlags.AppendOnly) != 0)
                    ExecuteDropRecords(inode.Number);
                Set(inode, change, mode);
                Done();
                return inode.Snapshot();
            }
            catch (Exception e)
            {
                return Undo(e);
            }
        }
    }

    private static Errno CheckAttributes(InodeFlags flags, in AttributeChange change)
    {
        const AttributeMask Guarded = AttributeMask.Mode | Owner | ExplicitTimes;
        if ((change.Mask & AttributeMask.Flags) != 0 && (change.Flags & ~(SettableFlags | InodeFlags.WasGuarded)) != 0)
            return Errno.EOPNOTSUPP;
        // The kernel writes back the modify and the change time of a file that it has cached, and nothing else with them: who wrote was allowed to. (A utimensat of the modify time alone
        // looks the same.) With anything else a change time is the kernel's stamp on a caller's change.
        if ((change.Mask & AttributeMask.ChangeTime) != 0 && (change.Mask & ~(AttributeMask.ModifyTime | AttributeMask.ChangeTime)) == 0)
            return Errno.None;
        // utimensat to the present comes with the kernel's own stamp as the modify time, where the kernel keeps times.
        bool isPresent = (change.Mask & (AttributeMask.ChangeTime | AttributeMask.AccessTimeNow)) == (AttributeMask.ChangeTime | AttributeMask.AccessTimeNow) && change.ModifyTime == change.ChangeTime;
        var guarded = isPresent ? Guarded & ~AttributeMask.ModifyTime : Guarded;
        if ((flags & (InodeFlags.Immutable | InodeFlags.AppendOnly)) != 0 && (change.Mask & (guarded | AttributeMask.Size)) != 0)
            return Errno.EPERM;
        if ((change.Mask & PresentTimes) == 0)
            return Errno.None;
        // Both times to the present is what a write does, too. One of them alone is a choice of times (vfs_utimes in fs/utimes.c, ATTR_TIMES_SET).
        bool isAccess = (change.Mask & (AttributeMask.AccessTime | AttributeMask.AccessTimeNow)) != 0, isModify = (change.Mask & (AttributeMask.ModifyTime | AttributeMask.ModifyTimeNow)) != 0;
        return (flags & InodeFlags.Immutable) != 0 || ((flags & InodeFlags.AppendOnly) != 0 && isAccess != isModify) ? Errno.EPERM : Errno.None;
    }

    private static uint NewMode(in Attributes shown, in AttributeChange change)
    {
        bool given = (change.Mask & AttributeMask.Mode) != 0;
        var next = given ? shown with { Mode = (shown.Mode & Mode.S_IFMT) | (change.Mode & Mode.PermissionMask) } : shown;
        bool kills = (change.Mask & AttributeMask.KillPrivileges) != 0 || !given && (change.Mask & Owner) != 0;
        return kills ? WithoutPrivileges(next) : next.Mode;
    }

    /// <summary>The mode without set-user-ID, and without set-group-ID where the group may execute (elsewhere it once meant mandatory locking, and stays). A
    /// directory keeps both.</summary>
    private static uint WithoutPrivileges(in Attributes a)
    {
        if (a.IsDirectory)
            return a.Mode;
        uint mode = a.Mode & ~Mode.S_ISUID;
        return (mode & Mode.S_IXGRP) != 0 ? mode & ~Mode.S_ISGID : mode;
    }

    /// <summary>A file that is guarded no more is marked for ever: nobody knows who may still have what was written before.</summary>
    private static InodeFlags KeptMark(in Attributes shown, InodeFlags next)
    {
        const InodeFlags Guards = InodeFlags.Immutable | InodeFlags.AppendOnly;
        return shown.IsRegular && (shown.Flags & ~next & Guards) != 0 ? InodeFlags.WasGuarded : shown.Flags & InodeFlags.WasGuarded;
    }

    private void Set(Inode inode, in AttributeChange change, uint mode)
    {
        var mask = change.Mask;
        var now = Clock.Now();
        lock (inode)
        {
            var a = inode.Current with
            {
                Mode = mode,
                ChangeTime = (mask & AttributeMask.ChangeTime) != 0 ? change.ChangeTime : now,
            };
            if ((mask & AttributeMask.Uid) != 0)
                a = a with { Uid = change.Uid };
            if ((mask & AttributeMask.Gid) != 0)
                a = a with { Gid = change.Gid };
            if ((mask & AttributeMask.Flags) != 0)
                a = a with { Flags = change.Flags & SettableFlags | KeptMark(a, change.Flags) };
            if ((mask & AttributeMask.AccessTimeNow) != 0)
                a = a with { AccessTime = now };
            else if ((mask & AttributeMask.AccessTime) != 0)
                a = a with { AccessTime = change.AccessTime };
            if ((mask & (AttributeMask.ModifyTime | AttributeMask.ModifyTimeNow)) != 0)
                a = a with { ModifyTime = (mask & AttributeMask.ModifyTimeNow) != 0 ? now : change.ModifyTime };
            // While content is in flight the committed time stays that of the committed content: a crash leaves the old file with its old time.
            if (!a.IsRegular || !inode.IsInFlight)
                inode.Committed = inode.Committed with { ModifyTime = a.ModifyTime };
            inode.Current = a;
        }
        SetDirty(inode, timesOnly: inode.Current.IsRegular && (mask & ~(AttributeMask.ModifyTime | AttributeMask.ModifyTimeNow | AttributeMask.ChangeTime)) == 0);
    }
}
