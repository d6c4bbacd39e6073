namespace OrleansFs.Model;

/// <summary>When a session's reads bring up access times, as the mount options of these names (mount(8)).</summary>
public enum AccessTimes
{
    /// <summary>Where the access time is not after the last change, or is a day old (<c>relatime</c>).</summary>
    Relative,
    /// <summary>With each read (<c>strictatime</c>).</summary>
    Strict,
    /// <summary>Never (<c>noatime</c>).</summary>
    Never,
}

/// <summary>The rule itself, which a mount and its volume both know.</summary>
public static class AccessTimesExtensions
{
    private const long Day = TimeSpan.TicksPerDay * TimeSpan.NanosecondsPerTick;

    /// <summary>Whether a read now brings up the access time (fs/inode.c, relatime_need_update).</summary>
    public static bool AreDue(this AccessTimes rule, in Attributes attributes, Timestamp now) =>
        rule != AccessTimes.Never && (attributes.Flags & InodeFlags.NoAccessTime) == 0
        && (rule == AccessTimes.Strict
            || attributes.AccessTime <= attributes.ModifyTime
            || attributes.AccessTime <= attributes.ChangeTime
            || now.Nanoseconds - attributes.AccessTime.Nanoseconds >= Day);
}
