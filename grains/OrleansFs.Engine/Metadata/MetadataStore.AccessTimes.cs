using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

internal sealed partial class MetadataStore
{
    /// <summary>An inode was read: its access time is brought up where that is due. Takes the inode's own lock.</summary>
    public void MarkAccessed(Inode inode, AccessTimes rule)
    {
        if (rule == AccessTimes.Never)
            return;
        var now = Clock.Now();
        lock (inode)
        {
            if (!rule.AreDue(inode.Current, now))
                return;
            inode.Current = inode.Current with { AccessTime = now };
        }
        MarkDirty(inode);
    }

    /// <summary>The same by number; one that is gone is nobody's concern.</summary>
    public void MarkAccessed(InodeNumber number, AccessTimes rule)
    {
        if (rule == AccessTimes.Never || Acquire(number) is not { } inode)
            return;
        try
        {
            MarkAccessed(inode, rule);
        }
        finally
        {
            Release(inode);
        }
    }
}
