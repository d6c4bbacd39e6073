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

    /// <summary>flock(2): a lock of the other kind is given up before the new one is asked for, so that two who have one each do not wait for each other for ever.</summary>
    [Fact]
    public async Task Two_who_convert_a_shared_flock_do_not_wait_for_each_other()
    {
        var table = new LockTable();
        var session = Guid.NewGuid();
        Assert.True((await table.SetAsync(session, s_file, Whole(LockKind.Read, 1), false, Cancellation)).IsOk);
        Assert.True((await table.SetAsync(session, s_file, Whole(LockKind.Read, 2), false, Cancellation)).IsOk);
        var first = table.SetAsync(session, s_file, Whole(LockKind.Write, 1), true, Cancellation).AsTask();
        Assert.False(first.IsCompleted);
        Assert.True((await table.SetAsync(session, s_file, Whole(LockKind.Write, 2), true, Cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(10), Cancellation)).IsOk);
        Assert.False(first.IsCompleted);
        Assert.True((await table.SetAsync(session, s_file, Whole(LockKind.Unlock, 2), false, Cancellation)).IsOk);
        Assert.True((await first.WaitAsync(TimeSpan.FromSeconds(10), Cancellation)).IsOk);
    }

    /// <summary>The lock that was there is lost, also where the new one is not had.</summary>
    [Fact]
    public async Task A_flock_that_cannot_be_converted_at_once_is_gone()
    {
        var table = new LockTable();
        var session = Guid.NewGuid();
        Assert.True((await table.SetAsync(session, s_file, Whole(LockKind.Read, 1), false, Cancellation)).IsOk);
        Assert.True((await table.SetAsync(session, s_file, Whole(LockKind.Read, 2), false, Cancellation)).IsOk);
        var third = table.SetAsync(session, s_file, Whole(LockKind.Write, 3), true, Cancellation).AsTask();
        Assert.Equal(Errno.EAGAIN, (await table.SetAsync(session, s_file, Whole(LockKind.Write, 1), false, Cancellation)).Error);
        Assert.False(third.IsCompleted);
        Assert.True((await table.SetAsync(session, s_file, Whole(LockKind.Unlock, 2), false, Cancellation)).IsOk);
        Assert.True((await third.WaitAsync(TimeSpan.FromSeconds(10), Cancellation)).IsOk);
        // Back to shared at once, and nobody in between.
        var fourth = table.SetAsync(session, s_file, Whole(LockKind.Write, 4), true, Cancellation).AsTask();
        Assert.True((await table.SetAsync(session, s_file, Whole(LockKind.Read, 3), false, Cancellation)).IsOk);
        Assert.False(fourth.IsCompleted);
        // fcntl locks change as one: nothing is given up for what is not had.
        Assert.True((await table.SetAsync(session, s_file, Range(LockKind.Read, 5), false, Cancellation)).IsOk);
        Assert.True((await table.SetAsync(session, s_file, Range(LockKind.Read, 6), false, Cancellation)).IsOk);
        Assert.Equal(Errno.EAGAIN, (await table.SetAsync(session, s_file, Range(LockKind.Write, 5), false, Cancellation)).Error);
        Assert.Equal(LockKind.Read, table.Get(session, s_file, Range(LockKind.Write, 6)).Kind);
    }

    /// <summary>The process of another machine is none here.</summary>
    [Fact]
    public async Task Only_a_lock_of_the_same_session_is_told_with_its_process()
    {
        var table = new LockTable();
        var session = Guid.NewGuid();
        Assert.True((await table.SetAsync(session, s_file, Range(LockKind.Write, 1) with { Pid = 5 }, false, Cancellation)).IsOk);
        Assert.Equal(5u, table.Get(session, s_file, Range(LockKind.Read, 2)).Pid);
        var told = table.Get(Guid.NewGuid(), s_file, Range(LockKind.Read, 1));
        Assert.Equal((LockKind.Write, 0u), (told.Kind, told.Pid));
    }

    private static FileLock Whole(LockKind kind, ulong owner) => new() { Kind = kind, Start = 0, End = long.MaxValue, Owner = owner, WholeFile = true };

    private static FileLock Range(LockKind kind, ulong owner) => new() { Kind = kind, Start = 0, End = 99, Owner = owner };
}
