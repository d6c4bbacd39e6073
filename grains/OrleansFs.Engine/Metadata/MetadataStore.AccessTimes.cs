using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

internal sealed partial class MetadataStore
{
    /// <summary>Whether the store is to make no mutation that nobody asks for (access times, purges, content hashes, collections): another copy is about to take over, and would not know of it. Asked with the lock held.</summary>
    public Func<bool>? RefusesOwn { get; set; }

    /// <summary>An inode was read: its access time is brought up where that is due. Takes the metadata lock then, and the inode's own.</summary>
    public void MarkAccessed(Inode inode, AccessTimes rule)
    {
        if (rule == AccessTimes.Never)
            return;
        var now = Clock.Now();
        lock (inode)
        {
            if (!rule.AreDue(inode.Current, now))
                return;
        }
        lock (Lock)
        {
            if (RefusesOwn?.Invoke() == true)
                return;
            lock (inode)
                inode.Current = inode.Current with { AccessTime = now };
            MarkDirty(inode);
        }
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
