using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Metadata;

public sealed class FileSyncTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private long _written;
    private long _onDisk;
    private int _running;
    private int _byCallers;
    private bool _overlap;
    private Exception? _told;

    [Fact]
    public async Task Who_waits_is_told_when_what_he_wrote_is_on_disk_whoever_makes_the_sync()
    {
        using var sync = Make(fails: () => false);
        var work = Enumerable.Range(0, 4).Select(n => Task.Run(async () =>
        {
            for (int i = 0; i < 2000; i++)
            {
                long mine = Interlocked.Increment(ref _written);
                await sync.WaitAsync(mine, (SyncWait)(i % 3), Cancellation);
                Assert.True(Volatile.Read(ref _onDisk) >= mine);
            }
        }, Cancellation));
        await Task.WhenAll(work);
        for (int i = 0; i < 200; i++)
        {
            await sync.WaitAsync(Interlocked.Increment(ref _written), SyncWait.Here, Cancellation);
            // Out of the thread of the sync, where it may have gone on.
            await Task.Yield();
        }
        Assert.False(_overlap);
        Assert.NotEqual(0, _byCallers);
        Assert.True(sync.Synced >= 8200);
    }

    [Fact]
    public async Task A_sync_that_fails_is_told_once_and_nothing_is_promised_after_it()
    {
        bool broken = false;
        using var sync = Make(fails: () => Volatile.Read(ref broken));
        while (_byCallers == 0)
        {
            await sync.WaitAsync(Interlocked.Increment(ref _written), SyncWait.Here, Cancellation);
            await Task.Yield();
        }
        Volatile.Write(ref broken, true);
        long lost = Interlocked.Increment(ref _written);
        var failure = await Assert.ThrowsAsync<MetadataException>(() => sync.WaitAsync(lost, SyncWait.Here, Cancellation));
        Assert.Same(failure, _told);
        Volatile.Write(ref broken, false);
        foreach (var how in Enum.GetValues<SyncWait>())
            Assert.Same(failure, await Assert.ThrowsAsync<MetadataException>(() => sync.WaitAsync(lost, how, Cancellation)));
    }

    private FileSync Make(Func<bool> fails)
    {
        return new FileSync("test sync", () => (Volatile.Read(ref _written), 0), 0, Sync, e => _told = e, new PassingTime());

        void Sync()
        {
            _overlap |= Interlocked.Increment(ref _running) != 1;
            if (Thread.CurrentThread.Name != "test sync")
                _byCallers++;
            long written = Volatile.Read(ref _written);
            Thread.Yield();
            if (fails())
                throw new MetadataException(Errno.EIO, 0, "the disk is broken");
            _onDisk = Math.Max(_onDisk, written);
            Interlocked.Decrement(ref _running);
        }
    }
}
