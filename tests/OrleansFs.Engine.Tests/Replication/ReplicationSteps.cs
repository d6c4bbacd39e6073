using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Replication;

/// <summary>What tests of a master and its replicas have in common.</summary>
internal static class ReplicationSteps
{
    /// <summary>Of the volumes of these tests, bytes.</summary>
    public const int S = 4096;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static async Task WriteFileAsync(VolumeFixture master, string name, int seed, int blocks)
    {
        var file = await master.CreateFileAsync(name);
        await master.WriteAsync(file, 0, Pattern(seed, blocks * S));
    }

    public static async Task DrainAsync(VolumeFixture master, int copies = 1)
    {
        var draining = master.Copy.Replication.DrainAsync(copies, null, Cancellation);
        await Task.WhenAny(draining, Task.Delay(TimeSpan.FromSeconds(120), Cancellation));
        if (!draining.IsCompleted)
        {
            var reports = master.Copy.Replication.Reports().Select(r => $"{r.Name}: state {(int)r.State}, LSN {r.Lsn}, {r.LagMutations} behind, {r.Blocks} blocks, heard of {r.LastContact:O}, {r.SentBytes} bytes sent, {r.DamagedBlocks} blocks damaged, {r.Trouble}");
            Assert.Fail($"it is not drained after 120 s: {string.Join("; ", reports)}");
        }
        var drained = await draining;
        Assert.Equal(Errno.None, drained.Error);
    }

    public static async Task EventuallyAsync(Func<bool> condition) => await EventuallyAsync(() => Task.FromResult(condition()));

    public static async Task EventuallyAsync(Func<Task<bool>> condition)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        while (!await condition())
            await Task.Delay(20, patience.Token);
    }

    public static byte[] Pattern(int seed, int length)
    {
        byte[] data = new byte[length];
        new Random(seed).NextBytes(data);
        return data;
    }

    /// <summary>A replica follows, and is cut off; meanwhile eight blocks come and go at the master: when it is back, the rows that name them are of blocks that nobody has.</summary>
    public static async Task MakeGoneAsync(VolumeFixture master, ReplicaFixture replica)
    {
        await WriteFileAsync(master, "before", 1, 2);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        replica.Link.Target = null;
        await WriteFileAsync(master, "short-lived", 2, 8);
        await master.Volume.SyncAllAsync(Cancellation);
        await master.Volume.UnlinkAsync(InodeNumber.Root, "short-lived"u8.ToArray(), Cancellation);
        await EventuallyAsync(async () => (await master.StatusAsync()).DeadBlocks == 8);
        Assert.Equal(8, (await master.Copy.CollectAsync(TimeSpan.Zero, false, null, Cancellation)).Blocks);
    }
}
