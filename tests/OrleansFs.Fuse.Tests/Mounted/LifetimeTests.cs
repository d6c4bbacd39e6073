using System.Diagnostics;
using System.Text;
using OrleansFs.Fuse.Tests.MemoryFs;
using Xunit;

namespace OrleansFs.Fuse.Tests.Mounted;

/// <summary>What waits, what is interrupted, what fails, and how a mount ends, on both transports.</summary>
[Collection("mounted")]
public sealed class LifetimeTests
{
    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(30);

    public static TheoryData<FuseTransport> Transports => MemoryMount.Transports;

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task A_killed_reader_interrupts_its_request(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        await File.WriteAllTextAsync(mount.Path(MemoryFileSystem.WaitingName), "", TestContext.Current.CancellationToken);
        using Process cat = Process.Start(new ProcessStartInfo("cat", [mount.Path(MemoryFileSystem.WaitingName)]) { RedirectStandardOutput = true })!;
        Assert.True(await mount.FileSystem.Waiting.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        await UntilInFlightAsync(mount, 1);
        Assert.Equal(1, mount.Mount.Statistics.InFlight);
        cat.Kill();
        Assert.True(await mount.FileSystem.Cancelled.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        await cat.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.InRange(mount.Mount.Statistics.Interrupts, 1, 3); // what a dying process still asks for is interrupted too
    }

    /// <summary>As on a disk: who has a handler for a signal has its answer, and may be killed all the same.</summary>
    [Theory]
    [MemberData(nameof(Transports))]
    public async Task A_signal_that_a_program_handles_cancels_nothing_and_one_that_kills_it_does(FuseTransport transport)
    {
        const string Reader = "import os, signal, sys; signal.signal(signal.SIGUSR1, lambda *_: None); fd = os.open(sys.argv[1], os.O_RDONLY); print('open', flush=True); os.read(fd, 10)";
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        string path = mount.Path(MemoryFileSystem.WaitingName);
        await File.WriteAllTextAsync(path, "", TestContext.Current.CancellationToken);
        using Process python = Process.Start(new ProcessStartInfo("python3", ["-c", Reader, path]) { RedirectStandardOutput = true })!;
        Assert.True(await mount.FileSystem.Waiting.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        Assert.Equal(0, Posix.Kill(python.Id, Posix.SIGUSR1));
        while (mount.Mount.Statistics.Interrupts == 0)
            await Task.Delay(10, TestContext.Current.CancellationToken);
        Assert.False(await mount.FileSystem.Cancelled.WaitAsync(TimeSpan.FromMilliseconds(300), TestContext.Current.CancellationToken));
        // The kernel tells of the first signal only.
        Assert.Equal(0, Posix.Kill(python.Id, Posix.SIGTERM));
        Assert.True(await mount.FileSystem.Cancelled.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        await python.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.Equal(128 + Posix.SIGTERM, python.ExitCode);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task A_read_that_completes_later_is_answered_from_there(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        int fd = Posix.MustOpen(mount.Path(MemoryFileSystem.LaterName), Posix.O_RDWR | Posix.O_CREAT);
        byte[] back = new byte[200];
        for (int i = 0; i < 500; i++)
            Assert.Equal(100, Posix.Read(fd, back, 0));
        Assert.Equal((byte)'L', back[99]);
        Assert.Equal(0, Posix.Close(fd));
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task More_lock_waiters_than_queue_entries_do_not_keep_the_unlock_out(FuseTransport transport)
    {
        const int Waiters = 60;
        await using MemoryMount mount = await MemoryMount.StartAsync(transport, change: o => o with { QueueDepth = 2 });
        int holder = Posix.MustOpen(mount.Path("lock"), Posix.O_RDWR | Posix.O_CREAT);
        Assert.Equal(0, Posix.Flock(holder, Posix.LOCK_EX));
        int denied = Posix.MustOpen(mount.Path("lock"), Posix.O_RDWR);
        Assert.Equal((-1, Errno.EAGAIN), (Posix.Flock(denied, Posix.LOCK_EX | Posix.LOCK_NB), Posix.LastError));
        int taken = 0;
        Thread[] threads = [.. Enumerable.Range(0, Waiters).Select(_ => new Thread(() =>
        {
            int fd = Posix.MustOpen(mount.Path("lock"), Posix.O_RDWR);
            if (Posix.Flock(fd, Posix.LOCK_EX) == 0)
                Interlocked.Increment(ref taken);
            _ = Posix.Close(fd); // the lock goes with the description
        }))];
        Array.ForEach(threads, t => t.Start());
        for (int i = 0; i < Waiters; i++)
            Assert.True(await mount.FileSystem.LockWaits.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        await UntilInFlightAsync(mount, Waiters);
        Assert.Equal(Waiters, mount.Mount.Statistics.InFlight);
        Assert.Equal(0, Posix.Flock(holder, Posix.LOCK_UN));
        foreach (Thread thread in threads)
            Assert.True(thread.Join(s_patience));
        Assert.Equal(Waiters, taken);
        _ = Posix.Close(denied);
        _ = Posix.Close(holder);
    }

    /// <summary>Else the unlock, which comes by the same queue, would wait for them.</summary>
    [Fact]
    public async Task Of_more_lock_waiters_than_a_queue_may_have_entries_some_are_refused()
    {
        int waiters = 40 * Environment.ProcessorCount;
        await using MemoryMount mount = await MemoryMount.StartAsync(FuseTransport.IoUring, change: o => o with { QueueDepth = 4, MaxRingEntries = 16 });
        int holder = Posix.MustOpen(mount.Path("lock"), Posix.O_RDWR | Posix.O_CREAT);
        Assert.Equal(0, Posix.Flock(holder, Posix.LOCK_EX));
        int taken = 0, refused = 0;
        Thread[] threads = [.. Enumerable.Range(0, waiters).Select(_ => new Thread(() =>
        {
            int fd = Posix.MustOpen(mount.Path("lock"), Posix.O_RDWR);
            if (Posix.Flock(fd, Posix.LOCK_EX) == 0)
                Interlocked.Increment(ref taken);
            else if (Posix.LastError == Errno.ENOLCK)
                Interlocked.Increment(ref refused);
            _ = Posix.Close(fd);
        }))];
        Array.ForEach(threads, t => t.Start());
        while (Volatile.Read(ref refused) == 0)
            await Task.Delay(10, TestContext.Current.CancellationToken);
        Task<int> unlock = Task.Run(() => Posix.Flock(holder, Posix.LOCK_UN), TestContext.Current.CancellationToken);
        Assert.Equal(0, await unlock.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        foreach (Thread thread in threads)
            Assert.True(thread.Join(s_patience));
        Assert.Equal(waiters, taken + refused);
        Assert.True(taken > 0);
        _ = Posix.Close(holder);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task A_handler_that_throws_answers_EIO_and_is_logged_once(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        foreach (string name in new[] { MemoryFileSystem.ThrowingName, MemoryFileSystem.ThrowingLaterName })
        {
            int fd = Posix.MustOpen(mount.Path(name), Posix.O_RDWR | Posix.O_CREAT);
            Assert.Equal((-1L, Errno.EIO), (Posix.Read(fd, new byte[10], 0), Posix.LastError));
            Assert.Equal(0, Posix.Close(fd));
        }
        mount.ExpectedTroubles = ["this file throws", "this file throws later"];
        Assert.Equal(2, mount.Mount.Statistics.HandlerExceptions);
        Assert.True(Posix.Exists(mount.Path(MemoryFileSystem.ThrowingName)));
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task Every_lookup_is_forgotten(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport, new MemoryFileSystem(TimeProvider.System) { Timeout = TimeSpan.FromHours(1) });
        Directory.CreateDirectory(mount.Path("directory"));
        for (int i = 0; i < 500; i++)
            await File.WriteAllTextAsync(mount.Path($"directory/{i}"), "", TestContext.Current.CancellationToken);
        Assert.Equal(500, Directory.EnumerateFiles(mount.Path("directory")).Count());
        File.Delete(mount.Path("directory/7"));
        Assert.InRange(mount.FileSystem.Lookups.Count, 500, 501); // 499 files and the directory; the deleted one's FORGET is on its way
        Task none = mount.FileSystem.WhenNothingIsKnown();
        Posix.DropEntries(mount.Mount.MountPoint);
        await none.WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.Equal(501, mount.FileSystem.NodeCount); // the root too
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task A_busy_mount_is_not_unmounted_and_then_it_is(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        int fd = Posix.MustOpen(mount.Path("open"), Posix.O_RDWR | Posix.O_CREAT);
        Assert.Equal(UnmountOutcome.Busy, await mount.Mount.UnmountAsync(cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(3, Posix.Write(fd, "abc"u8, 0));
        Assert.Equal(0, Posix.Close(fd));
        Assert.Equal(UnmountOutcome.Unmounted, await mount.Mount.UnmountAsync(cancellationToken: TestContext.Current.CancellationToken));
        Assert.Equal(UnmountOutcome.Unmounted, await mount.Mount.UnmountAsync(cancellationToken: TestContext.Current.CancellationToken));
        Assert.True(mount.FileSystem.Destroyed.Task.IsCompleted);
        Assert.Equal(0, mount.FileSystem.Lookups.Count);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task A_detached_mount_lives_until_its_last_user_goes(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        int fd = Posix.MustOpen(mount.Path("open"), Posix.O_RDWR | Posix.O_CREAT);
        Assert.Equal(UnmountOutcome.Detached, await mount.Mount.UnmountAsync(UnmountMode.Lazy, TestContext.Current.CancellationToken));
        Assert.Equal(3, Posix.Write(fd, "abc"u8, 0));
        Assert.Equal(0, Posix.Close(fd));
        await mount.Mount.Completion.WaitAsync(s_patience, TestContext.Current.CancellationToken);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task An_abort_cuts_off_whoever_waits(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        int fd = Posix.MustOpen(mount.Path(MemoryFileSystem.WaitingName), Posix.O_RDWR | Posix.O_CREAT);
        Task<(long, Errno)> read = Task.Run(() => (Posix.Read(fd, new byte[10], 0), Posix.LastError));
        Assert.True(await mount.FileSystem.Waiting.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        Assert.Equal(UnmountOutcome.Unmounted, await mount.Mount.UnmountAsync(UnmountMode.Abort, TestContext.Current.CancellationToken));
        Assert.Equal((-1L, Errno.ECONNABORTED), await read);
        Assert.True(await mount.FileSystem.Cancelled.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        _ = Posix.Close(fd);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task An_unmount_from_outside_ends_the_mount(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        await File.WriteAllTextAsync(mount.Path("file"), "x", TestContext.Current.CancellationToken);
        using Process umount = Process.Start("umount", [mount.Mount.MountPoint]);
        await mount.Mount.Completion.WaitAsync(s_patience, TestContext.Current.CancellationToken);
        await umount.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, umount.ExitCode);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task Notifications_drop_what_the_kernel_keeps(FuseTransport transport)
    {
        MemoryFileSystem fileSystem = new(TimeProvider.System) { Timeout = TimeSpan.FromHours(1) };
        await using MemoryMount mount = await MemoryMount.StartAsync(transport, fileSystem);
        await File.WriteAllTextAsync(mount.Path("file"), "old", TestContext.Current.CancellationToken);
        Assert.Equal(3, Posix.StatX(mount.Path("file")).Size);
        ulong node = fileSystem.Replace("file", "newer"u8);
        Assert.Equal(3, Posix.StatX(mount.Path("file")).Size); // the kernel does not know yet
        Assert.True(mount.Mount.Notifier.TryInvalidateInode(new NodeId(node)));
        await mount.Mount.Notifier.FlushAsync(TestContext.Current.CancellationToken);
        Assert.Equal("newer", await File.ReadAllTextAsync(mount.Path("file"), TestContext.Current.CancellationToken));

        Assert.True(mount.Mount.Notifier.TryStore(new NodeId(node), 0, "STORE"u8));
        await mount.Mount.Notifier.FlushAsync(TestContext.Current.CancellationToken);
        int fd = Posix.MustOpen(mount.Path("file"), Posix.O_RDONLY);
        byte[] back = new byte[5];
        Assert.Equal(5, Posix.Read(fd, back, 0));
        Assert.Equal("STORE", Encoding.ASCII.GetString(back));
        _ = Posix.Close(fd);

        fileSystem.Hide("file");
        Assert.True(Posix.Exists(mount.Path("file")));
        Assert.True(mount.Mount.Notifier.TryInvalidateEntry(NodeId.Root, "file"u8));
        Assert.True(mount.Mount.Notifier.TryInvalidateEntry(NodeId.Root, "never-was"u8, expireOnly: true));
        Assert.True(mount.Mount.Notifier.TryDelete(NodeId.Root, new NodeId(99), "neither"u8));
        await mount.Mount.Notifier.FlushAsync(TestContext.Current.CancellationToken);
        Assert.False(Posix.Exists(mount.Path("file")));
        Assert.Equal(5, mount.Mount.Statistics.Notifications);
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task A_node_that_is_known_by_cached_names_alone_is_forgotten_when_it_is_pruned(FuseTransport transport)
    {
        MemoryFileSystem fileSystem = new(TimeProvider.System) { Timeout = TimeSpan.FromHours(1) };
        await using MemoryMount mount = await MemoryMount.StartAsync(transport, fileSystem);
        await File.WriteAllTextAsync(mount.Path("file"), "content", TestContext.Current.CancellationToken);
        ulong node = fileSystem.Replace("file", "content"u8);
        int fd = Posix.MustOpen(mount.Path("file"), Posix.O_RDONLY);
        if (!mount.Mount.Notifier.TryPrune(new NodeId(node)))
        {
            Assert.NotEqual("7.45", mount.Mount.Statistics.ProtocolVersion);
            return;
        }
        await mount.Mount.Notifier.FlushAsync(TestContext.Current.CancellationToken);
        Assert.False(mount.Mount.Statistics.Requests.ContainsKey("FUSE_FORGET")); // it is open
        _ = Posix.Close(fd);
        Assert.True(mount.Mount.Notifier.TryPrune(new NodeId(node)));
        while (!mount.Mount.Statistics.Requests.ContainsKey("FUSE_FORGET"))
            await Task.Delay(10, TestContext.Current.CancellationToken);
        Assert.Equal("content", await File.ReadAllTextAsync(mount.Path("file"), TestContext.Current.CancellationToken));
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task Nothing_is_left_of_a_mount(FuseTransport transport)
    {
        await RoundTrip(transport); // whatever a process makes once
        (int descriptors, string[] threads) = (Descriptors(), FuseThreads());
        for (int i = 0; i < 5; i++)
            await RoundTrip(transport);
        Assert.Equal(threads, FuseThreads());
        Assert.InRange(Descriptors(), 0, descriptors + 2); // the pool may have opened an event or two of its own
    }

    [Theory]
    [MemberData(nameof(Transports))]
    public async Task An_abort_under_load_leaves_nobody_waiting(FuseTransport transport)
    {
        for (int round = 0; round < 5; round++)
        {
            await using MemoryMount mount = await MemoryMount.StartAsync(transport);
            await File.WriteAllTextAsync(mount.Path("file"), "x", TestContext.Current.CancellationToken);
            using CountdownEvent busy = new(6);
            Thread[] threads = [.. Enumerable.Range(0, 6).Select(i => new Thread(() => LoadUntilGone(mount.Path(i < 3 ? "file" : $"new-{i}"), busy)))];
            Array.ForEach(threads, t => t.Start());
            Assert.True(busy.Wait(s_patience, TestContext.Current.CancellationToken));
            Assert.Equal(UnmountOutcome.Unmounted, await mount.Mount.UnmountAsync(UnmountMode.Abort, TestContext.Current.CancellationToken));
            foreach (Thread thread in threads)
                Assert.True(thread.Join(s_patience));
            foreach (string left in Directory.GetFiles(mount.Mount.MountPoint))
                File.Delete(left); // made in the plain directory by whoever came too late
        }
    }

    [Fact]
    public async Task No_more_is_read_than_may_be_in_flight()
    {
        const int Readers = 2;
        const int Bound = 3;
        const int All = 12;
        await using MemoryMount mount = await MemoryMount.StartAsync(FuseTransport.Device, change: o => o with { MaxInFlight = Bound, ReaderThreads = Readers });
        int fd = Posix.MustOpen(mount.Path(MemoryFileSystem.WaitingName), Posix.O_RDWR | Posix.O_CREAT);
        int answered = 0;
        Thread[] threads = [.. Enumerable.Range(0, All).Select(_ => new Thread(() =>
        {
            if (Posix.Read(fd, new byte[10], 0) == 0)
                Interlocked.Increment(ref answered);
        }))];
        Array.ForEach(threads, t => t.Start());
        for (int i = 0; i < Bound; i++)
            Assert.True(await mount.FileSystem.Waiting.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        await UntilInFlightAsync(mount, Bound);
        Assert.InRange(mount.Mount.Statistics.InFlight, Bound, Bound + Readers - 1); // each reader may have looked before the other took one
        mount.FileSystem.Gate.SetResult();
        foreach (Thread thread in threads)
            Assert.True(thread.Join(s_patience));
        Assert.Equal(All, answered);
        Assert.Equal(0, Posix.Close(fd));
    }

    [Fact]
    public async Task An_abort_is_noticed_even_where_nothing_more_is_read()
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(FuseTransport.Device, change: o => o with { MaxInFlight = 1, ReaderThreads = 1 });
        int fd = Posix.MustOpen(mount.Path(MemoryFileSystem.WaitingName), Posix.O_RDWR | Posix.O_CREAT);
        Task<long> read = Task.Run(() => Posix.Read(fd, new byte[10], 0));
        Assert.True(await mount.FileSystem.Waiting.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        Task<UnmountOutcome> unmounted = mount.Mount.UnmountAsync(UnmountMode.Abort, TestContext.Current.CancellationToken);
        Assert.Equal(UnmountOutcome.Unmounted, await unmounted.WaitAsync(s_patience, TestContext.Current.CancellationToken));
        Assert.Equal(-1, await read);
        _ = Posix.Close(fd);
    }

    [Fact]
    public async Task Where_the_kernel_refuses_the_rings_requests_come_over_the_device()
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(
            FuseTransport.IoUring, change: o => o with { RingPayloadSize = 4096 }, expected: FuseTransport.Device);
        mount.ExpectedTroubles = ["requests come over /dev/fuse, not io_uring: the kernel refused the registration: EINVAL"];
        await File.WriteAllTextAsync(mount.Path("file"), "x", TestContext.Current.CancellationToken);
        Assert.Equal("x", await File.ReadAllTextAsync(mount.Path("file"), TestContext.Current.CancellationToken));
        Assert.Contains("EINVAL", mount.Mount.Statistics.IoUringUnavailable, StringComparison.Ordinal);
    }

    private static void LoadUntilGone(string path, CountdownEvent busy)
    {
        int done = 0;
        while (true)
        {
            int fd = Posix.Open(path, Posix.O_RDWR | Posix.O_CREAT);
            if (fd < 0)
                break;
            // Once the mount is out of sight the path is a plain directory, where no ioctl of ours is known.
            bool gone = Posix.Ioctl(fd, 0xC0086F01, new byte[8]) != 0 || Posix.Write(fd, "abc"u8, 0) < 0
                || Posix.Read(fd, new byte[10], 0) < 0;
            _ = Posix.Close(fd);
            if (gone)
                break;
            if (++done == 50)
                busy.Signal();
        }
    }

    private static async Task RoundTrip(FuseTransport transport)
    {
        await using MemoryMount mount = await MemoryMount.StartAsync(transport);
        await File.WriteAllTextAsync(mount.Path("file"), "x", TestContext.Current.CancellationToken);
    }

    private static int Descriptors() => Directory.GetFiles("/proc/self/fd").Length;

    private static string[] FuseThreads() =>
        [.. Directory.GetDirectories("/proc/self/task").Select(t => File.ReadAllText($"{t}/comm").Trim()).Where(n => n.StartsWith("fuse-", StringComparison.Ordinal))];

    /// <summary>A request counts from when the file system has given back its task, which may be a moment after it has begun to wait.</summary>
    private static async Task UntilInFlightAsync(MemoryMount mount, int count)
    {
        for (var waited = Stopwatch.StartNew(); mount.Mount.Statistics.InFlight < count && waited.Elapsed < s_patience;)
            await Task.Delay(1, TestContext.Current.CancellationToken);
    }
}
