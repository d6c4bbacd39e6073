using System.Text;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.Engine;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>The volume's contract by grain calls through a gateway, against the engine.</summary>
public sealed class RemoteVolumeTests : IAsyncLifetime
{
    private static readonly Caller Me = new(1000, 1000, 1, 0x12);

    private readonly TestFolder _folder = new();
    private readonly Holder _mount = new();
    private RunningSilo _silo = null!;
    private VolumeConnection _connection = null!;
    private GrainVolumeAccess _volume = null!;
    private string[] _expected = [];

    private static CancellationToken Cancellation => RunningSilo.Cancellation;

    public ValueTask InitializeAsync() => StartAsync(null);

    private async ValueTask StartAsync(Func<VolumeOptions, VolumeOptions>? with)
    {
        _silo = await RunningSilo.StartAsync(_folder["data"], with: with);
        _connection = await _silo.ConnectAsync();
        _volume = await _silo.MountAsync(_connection, _mount);
    }

    [Fact]
    public async Task Content_is_read_back_as_it_was_written()
    {
        var file = await CreateAsync("a");
        byte[] data = new byte[3 << 20];
        new Random(1).NextBytes(data);
        Assert.Equal(5L, (await _volume.WriteAsync(file, 5, data, WriteFlags.None, Cancellation)).Value);
        byte[] back = new byte[data.Length + 100];
        Assert.Equal(data.Length + 5, (await _volume.ReadAsync(file, 0, back, Cancellation)).Value);
        Assert.True(back.AsSpan(0, 5).IndexOfAnyExcept((byte)0) < 0);
        Assert.True(back.AsSpan(5, data.Length).SequenceEqual(data));
        Assert.Equal(data.Length + 5L, (await _volume.WriteAsync(file, 0, new byte[] { 1 }, WriteFlags.Append, Cancellation)).Value);
        Assert.True((await _volume.SyncAsync(file, false, Cancellation)).IsOk);
        Assert.Equal(data.Length + 6L, (await _volume.GetAttributesAsync(file, Cancellation)).Value.Size);
        Assert.Equal(0, (await _volume.ReadAsync(file, 1 << 30, back, Cancellation)).Value);
        Assert.Equal(0L, (await _volume.WriteAsync(file, 0, default, WriteFlags.None, Cancellation)).Value);
    }

    [Fact]
    public async Task Names_have_their_errors()
    {
        var directory = await CreateAsync("d", Mode.S_IFDIR);
        var file = await CreateAsync("f");
        Assert.Equal(Errno.EEXIST, (await _volume.CreateAsync(InodeNumber.Root, Name("f"), new NewInode { Mode = Mode.S_IFREG }, Me, Cancellation)).Error);
        Assert.Equal(Errno.ENOENT, (await _volume.LookupAsync(InodeNumber.Root, Name("nothing"), Cancellation)).Error);
        Assert.Equal(Errno.ENOTDIR, (await _volume.LookupAsync(file, Name("x"), Cancellation)).Error);
        Assert.Equal(Errno.EISDIR, (await _volume.UnlinkAsync(InodeNumber.Root, Name("d"), Cancellation)).Error);
        Assert.True((await _volume.LinkAsync(file, directory, Name("second"), Cancellation)).IsOk);
        Assert.Equal(Errno.ENOTEMPTY, (await _volume.RemoveDirectoryAsync(InodeNumber.Root, Name("d"), Cancellation)).Error);
        Assert.True((await _volume.RenameAsync(InodeNumber.Root, Name("f"), directory, Name("third"), RenameFlags.NoReplace, Me, Cancellation)).IsOk);
        Assert.Equal(2u, (await _volume.LookupAsync(directory, Name("third"), Cancellation)).Value.LinkCount);
        Assert.Equal(Errno.ENAMETOOLONG, (await _volume.LookupAsync(InodeNumber.Root, new byte[256], Cancellation)).Error);
        var link = await _volume.CreateAsync(
            InodeNumber.Root, Name("l"), new NewInode { Mode = Mode.S_IFLNK | 0x1FF, SymlinkTarget = Name("d/third") }, Me, Cancellation);
        Assert.Equal("d/third", Encoding.UTF8.GetString((await _volume.ReadLinkAsync(link.Value.Inode, Cancellation)).Value.Span));
    }

    [Fact]
    public async Task Attributes_and_extended_ones()
    {
        var file = await CreateAsync("a");
        var change = new AttributeChange { Mask = AttributeMask.Mode | AttributeMask.Size | AttributeMask.ModifyTime, Mode = 0x180, Size = 12345, ModifyTime = new Timestamp(77) };
        var changed = await _volume.SetAttributesAsync(file, change, Me, Cancellation);
        Assert.Equal((Mode.S_IFREG | 0x180, 12345L, 77L), (changed.Value.Mode, changed.Value.Size, changed.Value.ModifyTime.Nanoseconds));
        Assert.True((await _volume.SetXattrAsync(file, Name("user.a"), Name("value"), XattrFlags.Create, Cancellation)).IsOk);
        Assert.Equal(Errno.EEXIST, (await _volume.SetXattrAsync(file, Name("user.a"), Name("value"), XattrFlags.Create, Cancellation)).Error);
        Assert.Equal("value", Encoding.UTF8.GetString((await _volume.GetXattrAsync(file, Name("user.a"), Cancellation)).Value.Span));
        Assert.Equal("user.a\0", Encoding.UTF8.GetString((await _volume.ListXattrAsync(file, Cancellation)).Value.Span));
        Assert.True((await _volume.RemoveXattrAsync(file, Name("user.a"), Cancellation)).IsOk);
        Assert.Equal(Errno.ENODATA, (await _volume.GetXattrAsync(file, Name("user.a"), Cancellation)).Error);
    }

    [Fact]
    public async Task Holes_are_punched_found_and_copied_over()
    {
        var (source, target) = (await CreateAsync("a"), await CreateAsync("b"));
        Assert.True((await _volume.WriteAsync(source, 0, new byte[400_000], WriteFlags.None, Cancellation)).IsOk);
        Assert.True((await _volume.WriteAsync(source, 1 << 20, Name("tail"), WriteFlags.None, Cancellation)).IsOk);
        Assert.True((await _volume.AllocateAsync(source, AllocateMode.PunchHole | AllocateMode.KeepSize, 0, 1 << 20, Cancellation)).IsOk);
        Assert.Equal(1 << 20, (await _volume.SeekAsync(source, 0, SeekKind.Data, Cancellation)).Value);
        Assert.Equal(0, (await _volume.SeekAsync(source, 0, SeekKind.Hole, Cancellation)).Value);
        Assert.Equal(Errno.ENXIO, (await _volume.SeekAsync(source, 2 << 20, SeekKind.Data, Cancellation)).Error);
        Assert.Equal(4, (await _volume.CopyRangeAsync(source, 1 << 20, target, 0, 100, Cancellation)).Value);
        byte[] back = new byte[10];
        Assert.Equal(4, (await _volume.ReadAsync(target, 0, back, Cancellation)).Value);
        Assert.Equal("tail", Encoding.UTF8.GetString(back.AsSpan(0, 4)));
    }

    [Fact]
    public async Task A_directory_of_several_pages_is_listed_whole_in_any_steps()
    {
        var directory = await CreateAsync("d", Mode.S_IFDIR);
        var expected = new List<string> { ".", ".." };
        for (int i = 0; i < 300; i++)
        {
            string name = $"file {i:000}";
            Assert.True((await _volume.CreateAsync(directory, Name(name), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, Me, Cancellation)).IsOk);
            expected.Add(name);
        }
        foreach (int step in (int[])[1, 7, 128, 1000])
        {
            var sink = new ListSink();
            for (int before = -1; before != sink.Names.Count;)
            {
                before = sink.Names.Count;
                sink.Room = step;
                Assert.True((await _volume.ReadDirectoryAsync(directory, sink.Cookie, sink, true, Cancellation)).IsOk);
            }
            Assert.Equal(expected.Order(StringComparer.Ordinal), sink.Names.Order(StringComparer.Ordinal));
            Assert.True(sink.AllHadAttributes);
        }
    }

    [Fact]
    public async Task Locks_hold_between_sessions_and_go_with_them()
    {
        var file = await CreateAsync("a");
        var other = await _silo.MountAsync(_connection);
        var mine = new FileLock { Kind = LockKind.Write, Start = 0, End = 9, Owner = 1, Pid = 11 };
        Assert.True((await _volume.SetLockAsync(file, mine, false, Cancellation)).IsOk);
        Assert.Equal(Errno.EAGAIN, (await other.SetLockAsync(file, mine with { Pid = 12 }, false, Cancellation)).Error);
        // Who has it is a process of another machine, maybe.
        var told = (await other.GetLockAsync(file, mine, Cancellation)).Value;
        Assert.Equal((LockKind.Write, 0u), (told.Kind, told.Pid));
        var waiting = other.SetLockAsync(file, mine with { Pid = 12 }, true, Cancellation).AsTask();
        Assert.False(waiting.IsCompleted);
        Assert.True((await _volume.FlushAsync(file, 1, Cancellation)).IsOk);
        Assert.True((await waiting).IsOk);
        await other.DisposeAsync();
        Assert.True((await _volume.SetLockAsync(file, mine, false, Cancellation)).IsOk);
    }

    [Fact]
    public async Task A_wait_for_a_lock_can_be_interrupted()
    {
        var file = await CreateAsync("a");
        var other = await _silo.MountAsync(_connection);
        var mine = new FileLock { Kind = LockKind.Write, Start = 0, End = long.MaxValue, Owner = 1, WholeFile = true };
        Assert.True((await _volume.SetLockAsync(file, mine, false, Cancellation)).IsOk);
        using var interrupt = new CancellationTokenSource();
        var waiting = other.SetLockAsync(file, mine, true, interrupt.Token).AsTask();
        await interrupt.CancelAsync();
        Assert.Equal(Errno.EINTR, (await waiting).Error);
        Assert.True((await _volume.SetLockAsync(file, mine with { Kind = LockKind.Unlock }, false, Cancellation)).IsOk);
        Assert.True((await _volume.SetLockAsync(file, mine, false, Cancellation)).IsOk);
    }

    /// <summary>The program goes on, or has ended: nobody will ever give up the lock again.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_lock_is_given_up_although_the_caller_is_interrupted(bool isWholeFile)
    {
        var file = await CreateAsync("a");
        var other = await _silo.MountAsync(_connection);
        var mine = new FileLock { Kind = LockKind.Write, Start = 0, End = long.MaxValue, Owner = 1, WholeFile = isWholeFile };
        using var interrupted = new CancellationTokenSource();
        await interrupted.CancelAsync();
        for (int i = 0; i < 10; i++)
        {
            Assert.True((await _volume.SetLockAsync(file, mine, false, Cancellation)).IsOk);
            Assert.Equal(Errno.EAGAIN, (await other.SetLockAsync(file, mine with { Owner = 2 }, false, Cancellation)).Error);
            if (isWholeFile || i % 2 == 0)
                await _volume.SetLockAsync(file, mine with { Kind = LockKind.Unlock }, false, interrupted.Token);
            else
                await _volume.FlushAsync(file, 1, interrupted.Token);
            Assert.True((await other.SetLockAsync(file, mine with { Owner = 2 }, true, Cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(30), Cancellation)).IsOk);
            Assert.True((await other.SetLockAsync(file, mine with { Owner = 2, Kind = LockKind.Unlock }, false, Cancellation)).IsOk);
        }
        await other.DisposeAsync();
    }

    /// <summary>However often the session is attached anew in between, and whichever thread of a program locks while another closes: what the session believes to have is what the copy has for it.</summary>
    [Fact]
    public async Task Locks_are_at_the_copy_as_the_session_has_them()
    {
        const int Owners = 8;
        int seed = Environment.TickCount;
        TestContext.Current.SendDiagnosticMessage($"seed {seed}");
        _expected = ["cannot be reached", "answers again"];
        var (file, whole) = (await CreateAsync("a"), await CreateAsync("b"));
        var other = await _silo.MountAsync(_connection);
        var door = _connection.Grains.GetGrain<ISessionGrain>(new SessionKey(_volume.SessionId, _silo.Copy).ToString());
        for (int round = 0; round < 20; round++)
        {
            using var end = new CancellationTokenSource();
            var attaching = Task.Run(async () =>
            {
                while (!end.IsCancellationRequested)
                {
                    Assert.True((await door.AttachAsync(new SessionStart { Client = "the same", Contract = Contract.Id }, Cancellation)).IsOk);
                    await Task.Delay(20, Cancellation);
                }
            }, Cancellation);
            var working = Enumerable.Range(0, 2 * Owners).Select(i => Task.Run(() => WorkAsync((ulong)(i % Owners) + 1, new Random(seed + round * 100 + i)), Cancellation)).ToArray();
            await Task.WhenAll(working);
            await end.CancelAsync();
            await attaching;
            // Attached anew for good, and all that was given up is known.
            Assert.True((await _volume.SyncAllAsync(Cancellation)).IsOk);
            for (ulong owner = 1; owner <= Owners; owner++)
                Assert.True((await _volume.SetLockAsync(whole, Whole(owner, LockKind.Unlock) with { Start = long.MaxValue }, false, Cancellation)).IsOk);
            for (ulong owner = 1; owner <= Owners; owner++)
            {
                var region = Region(owner, LockKind.Write);
                Assert.True((await _volume.SetLockAsync(file, region with { Start = region.End, Kind = LockKind.Unlock }, false, Cancellation)).IsOk);
                var there = (await other.GetLockAsync(file, region, Cancellation)).Value;
                var here = _volume.Locks.In(file, region);
                bool isSame = here.Count == 0 ? there.Kind == LockKind.Unlock : (there.Kind, there.Start) == (here[0].Kind, here[0].Start);
                Assert.True(isSame, $"round {round}, owner {owner}: here {string.Join(", ", here)}; there {there}");
            }
            // Of a whole file several owners may have a shared one, of which the copy names the first.
            var ofAll = Whole(0, LockKind.Write);
            var named = (await other.GetLockAsync(whole, ofAll, Cancellation)).Value;
            FileLock[] had = [.. Enumerable.Range(1, Owners).SelectMany(owner => _volume.Locks.In(whole, ofAll with { Owner = (ulong)owner }))];
            Assert.True(named.Kind == LockKind.Unlock ? had.Length == 0 : had.Any(h => (h.Owner, h.Kind) == (named.Owner, named.Kind)), $"round {round}: here {string.Join(", ", had)}; there {named}");
        }
        await other.DisposeAsync();

        async Task WorkAsync(ulong owner, Random random)
        {
            for (int i = 0; i < 25; i++)
            {
                var part = Region(owner, (LockKind)random.Next(3));
                part = part with { Start = part.Start + (ulong)random.Next(50), End = part.End - (ulong)random.Next(1, 50) };
                if (random.Next(3) == 0)
                    Assert.True((await _volume.SetLockAsync(whole, Whole(owner, (LockKind)random.Next(3)), false, Cancellation)).Error is Errno.None or Errno.EAGAIN);
                else if (random.Next(4) == 0)
                    Assert.True((await _volume.FlushAsync(file, owner, Cancellation)).IsOk);
                else
                    Assert.True((await _volume.SetLockAsync(file, part, false, Cancellation)).IsOk);
            }
        }

        static FileLock Whole(ulong owner, LockKind kind) => new() { Kind = kind, Start = 0, End = long.MaxValue, Owner = owner, WholeFile = true };

        static FileLock Region(ulong owner, LockKind kind) => new() { Kind = kind, Start = owner * 100, End = owner * 100 + 99, Owner = owner };
    }

    /// <summary>Whoever asks for a sync waits for replicas where the copy says so. Another mount that changes the file does not: what is kept here has to be on the disk of the copy, no more.</summary>
    [Fact]
    public async Task What_is_kept_here_waits_for_no_replica()
    {
        await _silo.DisposeAsync();
        await StartAsync(o => o with { SyncCopies = 1, SyncTimeout = TimeSpan.FromMinutes(10) });
        var other = await _silo.MountAsync(_connection);
        var file = await CreateAsync("a");
        Assert.True((await _volume.GetAttributesAsync(file, Cancellation)).IsOk);
        Assert.True((await _volume.WriteAsync(file, 0, Name("first"), WriteFlags.None, Cancellation)).IsOk);
        Assert.True((await other.WriteAsync(file, 100, Name("second"), WriteFlags.None, Cancellation)).IsOk);
        Assert.True((await other.FlushAsync(file, 1, Cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(60), Cancellation)).IsOk);
        byte[] back = new byte[200];
        Assert.Equal(106, (await _volume.ReadAsync(file, 0, back, Cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(60), Cancellation)).Value);
        await other.DisposeAsync();
    }

    /// <summary>What a mount keeps is bounded: what can be brought to disk makes room for more. Also where the session had to be attached anew, and has to bring everything to disk for that.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_file_that_cannot_be_brought_to_disk_stops_no_other(bool isAttachedAnew)
    {
        var stuck = await CreateStuckAsync();
        if (isAttachedAnew)
        {
            var door = _connection.Grains.GetGrain<ISessionGrain>(new SessionKey(_volume.SessionId, _silo.Copy).ToString());
            Assert.True((await door.AttachAsync(new SessionStart { Client = "the same", Contract = Contract.Id }, Cancellation)).IsOk);
        }

        var other = await CreateAsync("other");
        Assert.Equal(Errno.None, await FillAsync(other, 2 * Client.Limits.UnstableBytes));
        await RemoveAsync(stuck);
    }

    /// <summary>And where nothing of it can be, who writes is told, and does not wait for what may never come.</summary>
    [Fact]
    public async Task Where_nothing_can_be_brought_to_disk_writers_are_refused()
    {
        var stuck = await CreateStuckAsync();
        var other = await CreateAsync("other");
        Assert.Equal(Errno.EIO, await FillAsync(stuck, 2 * Client.Limits.UnstableBytes));
        Assert.Equal(Errno.EIO, await FillAsync(other, 4 << 20));
        await RemoveAsync(stuck);
        Assert.Equal(Errno.None, await FillAsync(other, 4 << 20));
    }

    /// <summary>A file of which a part of a block is written whose rest is gone.</summary>
    private async Task<InodeNumber> CreateStuckAsync()
    {
        byte[] data = new byte[1 << 20];
        new Random(1).NextBytes(data);
        var stuck = await CreateAsync("stuck");
        Assert.True((await _volume.WriteAsync(stuck, 0, data, WriteFlags.None, Cancellation)).IsOk);
        Assert.True((await _volume.SyncAllAsync(Cancellation)).IsOk);
        await _silo.DisposeAsync();
        Directory.Delete(_folder["data/blocks"], recursive: true);
        Directory.CreateDirectory(_folder["data/blocks"]);
        await InitializeAsync();
        _expected = ["cannot be read", "cannot be settled", "cannot bring everything to disk"];
        Assert.True((await _volume.WriteAsync(stuck, 100, "abc"u8.ToArray(), WriteFlags.None, Cancellation)).IsOk);
        Assert.Equal(Errno.EIO, (await _volume.SyncAllAsync(Cancellation)).Error);
        return stuck;
    }

    private async Task RemoveAsync(InodeNumber stuck)
    {
        Assert.True((await _volume.UnlinkAsync(InodeNumber.Root, Name("stuck"), Cancellation)).IsOk);
        _volume.Forget(stuck);
        // What is forgotten goes in the background.
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
        patience.CancelAfter(TimeSpan.FromSeconds(30));
        while (!(await _volume.SyncAllAsync(patience.Token)).IsOk)
            await Task.Delay(50, patience.Token);
    }

    /// <summary>Writes the same some megabytes, from the second on, until so many bytes are written or it is refused.</summary>
    private async Task<Errno> FillAsync(InodeNumber file, long bytes)
    {
        byte[] data = new byte[1 << 20];
        new Random(2).NextBytes(data);
        for (long written = 0; written < bytes; written += data.Length)
        {
            data[0]++;
            var result = await _volume.WriteAsync(file, data.Length + (written % (16 << 20)), data, WriteFlags.None, Cancellation).AsTask().WaitAsync(TimeSpan.FromSeconds(60), Cancellation);
            if (!result.IsOk)
                return result.Error;
        }
        return Errno.None;
    }

    [Fact]
    public async Task An_unlinked_file_lives_while_the_mount_knows_it()
    {
        var file = await CreateAsync("a");
        Assert.True((await _volume.WriteAsync(file, 0, Name("still here"), WriteFlags.None, Cancellation)).IsOk);
        _mount.Know(file);
        Assert.True((await _volume.UnlinkAsync(InodeNumber.Root, Name("a"), Cancellation)).IsOk);
        byte[] back = new byte[20];
        Assert.Equal(10, (await _volume.ReadAsync(file, 0, back, Cancellation)).Value);
        Assert.Equal(1, (await _volume.GetStatusAsync(Cancellation)).Value.Orphans);
        _mount.Lose(file);
        _volume.Forget(file);
        await GoneAsync(file);
    }

    [Fact]
    public async Task A_file_without_a_name_is_kept_until_it_is_forgotten_or_linked()
    {
        var kept = (await _volume.CreateUnnamedAsync(InodeNumber.Root, new NewInode { Mode = Mode.S_IFREG | 0x180 }, Me, Cancellation)).Value.Inode;
        var dropped = (await _volume.CreateUnnamedAsync(InodeNumber.Root, new NewInode { Mode = Mode.S_IFREG | 0x180 }, Me, Cancellation)).Value.Inode;
        _mount.Know(kept);
        _mount.Know(dropped);
        Assert.True((await _volume.LinkAsync(kept, InodeNumber.Root, Name("now named"), Cancellation)).IsOk);
        _mount.Lose(dropped);
        _volume.Forget(dropped);
        await GoneAsync(dropped);
        Assert.Equal(kept, (await _volume.LookupAsync(InodeNumber.Root, Name("now named"), Cancellation)).Value.Inode);
    }

    [Fact]
    public async Task Blocks_are_found_by_their_hash()
    {
        var file = await CreateAsync("a");
        byte[] data = new byte[100_000];
        new Random(2).NextBytes(data);
        Assert.True((await _volume.WriteAsync(file, 0, data, WriteFlags.None, Cancellation)).IsOk);
        Assert.True((await _volume.SyncAllAsync(Cancellation)).IsOk);
        var block = _connection.Grains.GetGrain<IBlockGrain>(new BlockKey(BlockHash.Of(data), _silo.Copy).ToString());
        var info = (await block.GetInfoAsync(Cancellation)).Value;
        Assert.Equal((data.Length, 1L, BlockResidency.Local), (info.Length, info.ReferenceCount, info.Residency));
        Assert.True((await block.ReadAsync(Cancellation)).Bytes.Span.SequenceEqual(data));
        Assert.True((await block.VerifyAsync(Cancellation)).IsOk);
        Assert.True((await block.FetchAsync(Cancellation)).IsOk);
        Assert.Equal(Errno.EBUSY, (await block.EvictAsync(Cancellation)).Error);
        Assert.True((await block.SetPinnedAsync(true, Cancellation)).IsOk);
        Assert.True((await block.GetInfoAsync(Cancellation)).Value.IsPinned);
        Assert.True((await block.SetPinnedAsync(false, Cancellation)).IsOk);
        Assert.False((await block.GetInfoAsync(Cancellation)).Value.IsPinned);
        var unknown = _connection.Grains.GetGrain<IBlockGrain>(new BlockKey(BlockHash.Of([0]), _silo.Copy).ToString());
        Assert.Equal(Errno.ENOENT, (await unknown.GetInfoAsync(Cancellation)).Error);
    }

    [Fact]
    public async Task Memory_that_was_lent_may_be_used_again_at_once()
    {
        var file = await CreateAsync("a");
        byte[] lent = new byte[4096];
        for (int i = 0; i < 100; i++)
        {
            Array.Fill(lent, (byte)i);
            Assert.True((await _volume.WriteAsync(file, i * 4096L, lent, WriteFlags.None, Cancellation)).IsOk);
            Array.Fill(lent, (byte)255);
        }
        byte[] back = new byte[100 * 4096];
        Assert.Equal(back.Length, (await _volume.ReadAsync(file, 0, back, Cancellation)).Value);
        Assert.All(Enumerable.Range(0, 100), i => Assert.True(back.AsSpan(i * 4096, 4096).IndexOfAnyExcept((byte)i) < 0));
    }

    public async ValueTask DisposeAsync()
    {
        await _silo.DisposeAsync();
        _silo.Log.AssertQuiet(_expected);
        _folder.Dispose();
    }

    private static ReadOnlyMemory<byte> Name(string name) => Encoding.UTF8.GetBytes(name);

    private async Task<InodeNumber> CreateAsync(string name, uint type = Mode.S_IFREG)
    {
        var made = await _volume.CreateAsync(InodeNumber.Root, Name(name), new NewInode { Mode = type | 0x1ED }, Me, Cancellation);
        Assert.True(made.IsOk, made.ToString());
        return made.Value.Inode;
    }

    /// <summary>The copy frees an inode some heartbeats after the mount has forgotten it: asked until then.</summary>
    private async Task GoneAsync(InodeNumber inode)
    {
        while ((await _volume.GetAttributesAsync(inode, Cancellation)).Error != Errno.ESTALE)
            await Task.Delay(100, Cancellation);
    }

    private sealed class ListSink : IDirectorySink
    {
        public List<string> Names { get; } = [];

        public long Cookie { get; private set; }

        public int Room { get; set; }

        public bool AllHadAttributes { get; private set; } = true;

        public bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes)
        {
            if (Room == 0)
                return false;
            Room--;
            Cookie = cookie;
            Names.Add(Encoding.UTF8.GetString(name));
            AllHadAttributes &= attributes is null == Names[^1] is "." or ".." || attributes?.Inode == inode;
            return true;
        }
    }
}
