using OrleansFs.Grains.Leases;
using OrleansFs.Model;

namespace OrleansFs.Grains.Sessions;

/// <content>What the client is told, it holds a lease on.</content>
internal sealed partial class ClientSession
{
    private LeaseHolder? _leases;

    /// <summary>The leases of the client; null while it caches nothing.</summary>
    public LeaseHolder? Leases
    {
        get => Volatile.Read(ref _leases);
        set
        {
            Interlocked.Exchange(ref _leases, value)?.End();
            if (IsEnded)
                Interlocked.Exchange(ref _leases, null)?.End();
        }
    }

    /// <summary>The client is about to know something of an inode, by asking or by changing it: it is told when that is no longer so.</summary>
    public void Lease(LeaseTable table, InodeNumber inode)
    {
        if (Leases is { } holder)
            table.Grant(holder, inode);
    }

    public ValueTask<FsResult<Attributes>> LookupAsync(LeaseTable table, InodeNumber directory, ReadOnlyMemory<byte> name, CancellationToken cancellation)
    {
        if (Leases is not { } holder)
            return Access.LookupAsync(directory, name, cancellation);
        table.Grant(holder, directory);
        return HeldAsync(table, Access.LookupAsync(directory, name, cancellation), cancellation);
    }

    public ValueTask<FsResult<Attributes>> GetAttributesAsync(LeaseTable table, InodeNumber inode, CancellationToken cancellation)
    {
        if (Leases is { } holder)
            table.Grant(holder, inode);
        return Access.GetAttributesAsync(inode, cancellation);
    }

    /// <summary>The attributes of an inode that is known by its answer only: read again when the lease on it is there.</summary>
    public async ValueTask<FsResult<Attributes>> HeldAsync(LeaseTable table, ValueTask<FsResult<Attributes>> call, CancellationToken cancellation)
    {
        var result = await call;
        if (Leases is not { } holder || !result.TryGet(out var attributes, out _))
            return result;
        table.Grant(holder, attributes.Inode);
        var again = await Access.GetAttributesAsync(attributes.Inode, cancellation);
        // Gone between the two: what was found is what was there.
        return again.IsOk ? again : result;
    }

    /// <summary>Takes leases on a page's entries, and reads their attributes again under them.</summary>
    public async ValueTask HoldAsync(LeaseTable table, Attributes[] entries, CancellationToken cancellation)
    {
        if (Leases is not { } holder)
            return;
        for (int i = 0; i < entries.Length; i++)
        {
            if (entries[i].Inode.Value == 0)
                continue;
            table.Grant(holder, entries[i].Inode);
            if ((await Access.GetAttributesAsync(entries[i].Inode, cancellation)).TryGet(out var attributes, out _))
                entries[i] = attributes;
        }
    }
}
