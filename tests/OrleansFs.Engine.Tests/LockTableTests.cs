using OrleansFs.Model;

namespace OrleansFs.Engine.Tests;

public sealed class LockTableTests
{
    private static readonly InodeNumber s_file = new(7);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Who_waits_and_whose_session_ends_has_no_lock()
    {
        var table = new LockTable();
        var (holder, waiter, third) = (Guid.NewGuid(), Guid.NewGuid(), Guid.NewGuid());
        var wanted = new FileLock { Kind = LockKind.Write, Start = 0, End = long.MaxValue, Owner = 1, WholeFile = true };
        Assert.True((await table.SetAsync(holder, s_file, wanted, false, Cancellation)).IsOk);
        var waiting = table.SetAsync(waiter, s_file, wanted, true, Cancellation).AsTask();
        table.ReleaseSession(waiter);
        Assert.Equal(Errno.EINTR, (await waiting).Error);

        // Also where the file has no lock any more by then.
        waiting = table.SetAsync(waiter, s_file, wanted, true, Cancellation).AsTask();
        table.ReleaseSession(waiter);
        table.ReleaseSession(holder);
        Assert.Equal(Errno.EINTR, (await waiting).Error);
        Assert.True((await table.SetAsync(third, s_file, wanted, false, Cancellation)).IsOk);
    }
}
