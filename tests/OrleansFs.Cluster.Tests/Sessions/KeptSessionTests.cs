using Microsoft.Data.Sqlite;
using Microsoft.Extensions.Logging;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.Engine;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Sessions;

/// <summary>What a copy keeps of sessions beyond the end of its process: whom a restart waits for, and how long replies are there.</summary>
public sealed class KeptSessionTests : IAsyncDisposable
{
    private readonly TestFolder _folder = new();
    private readonly ManualTime _time = new();
    private readonly TestLog _log = new();
    private VolumeCopy? _volume;
    private CopySessions? _sessions;
    private YieldingCopy? _copy;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    private static TimeSpan Lease => GrainInterfaces.Limits.SessionLease + Grains.Limits.ExpiryTick;

    private CopySessions Sessions => _sessions!;

    [Fact]
    public async Task A_restart_waits_for_a_session_whose_lease_ran_and_for_no_other()
    {
        await StartAsync();
        var (silent, left) = (SessionId.New(), SessionId.New());
        Attach(silent);
        Assert.True(Sessions.Detach(Attach(left).Ticket).IsOk);
        await RestartAsync();
        Assert.False(Sessions.Recovered.IsCompleted);
        Assert.True(Sessions.IsKnown(silent));
        Assert.False(Sessions.IsKnown(left));
        Sessions.BeginGrace();
        Attach(silent);
        _time.Advance(Lease);
        await RestartAsync();
        Assert.True(Sessions.Recovered.IsCompleted);
    }

    /// <summary>What a session still brings back when the grace is over may be older than what others write from then on: it is refused until the client knows, and compares.</summary>
    [Fact]
    public async Task What_is_brought_back_after_the_grace_is_asked_for_anew()
    {
        await StartAsync();
        Sessions.BeginGrace();
        var id = SessionId.New();
        Attach(id);
        await RestartAsync();
        Sessions.BeginGrace();
        var grant = Attach(id);
        Assert.Null(grant.Lapsed);
        Assert.True((await BringBackAsync(grant.Ticket, 1)).IsOk);
        _time.Advance(GrainInterfaces.Limits.Grace);
        Assert.Equal(Errno.ENOTCONN, (await BringBackAsync(grant.Ticket, 2)).Error);
        // What it says of the time before the others went on does not count, either.
        Sessions.CaughtUp(Sessions.Find(grant.Ticket)!, grant.Lapses);
        var again = Attach(id);
        Assert.NotNull(again.Lapsed);
        Assert.True((await BringBackAsync(again.Ticket, 3)).IsOk);
        Sessions.CaughtUp(Sessions.Find(again.Ticket)!, again.Lapses);
        Assert.Null(Sessions.Find(again.Ticket)!.Lapse.Since);

        ValueTask<FsResult> BringBackAsync(SessionTicket ticket, long sequence) =>
            Sessions.RunOnceAsync(new ChangeRequest(ticket, GrainInterfaces.Limits.RecoverySlot, sequence), s => new ValueTask<FsResult>(FsResult.Ok));
    }

    /// <summary>Who has much to bring back is waited for while it is at it, and not for ever.</summary>
    [Fact]
    public async Task The_grace_goes_on_for_a_session_that_still_brings_back_what_there_was()
    {
        await StartAsync();
        Sessions.BeginGrace();
        var (slow, quick) = (SessionId.New(), SessionId.New());
        Attach(slow);
        Attach(quick);
        await RestartAsync();
        Sessions.BeginGrace();
        var ticket = Attach(slow).Ticket;
        Attach(quick);
        Sessions.NoteRecovered(quick);
        var admission = Sessions.AdmitAsync(SessionId.New(), Cancellation).AsTask();
        for (int i = 0; i < Grains.Limits.GraceExtensions; i++)
        {
            AdvanceGrace();
            Assert.False(admission.IsCompleted);
            Assert.False(Sessions.Find(ticket)!.HasLapsed);
        }
        AdvanceGrace();
        await admission;
        Assert.True(Sessions.Find(ticket)!.HasLapsed);
        Assert.NotNull(Attach(slow).Lapsed);

        void AdvanceGrace()
        {
            for (var waited = TimeSpan.Zero; waited < GrainInterfaces.Limits.Grace; waited += GrainInterfaces.Limits.Grace / 10)
            {
                _time.Advance(GrainInterfaces.Limits.Grace / 10);
                Assert.NotNull(Sessions.Find(ticket));
            }
        }
    }

    /// <summary>Of all that a copy ends nobody gets what another had: whose wait for a lock is answered by that has not got it.</summary>
    [Fact]
    public async Task Who_waits_for_a_lock_does_not_get_it_from_one_that_ends_with_it()
    {
        await StartAsync();
        Sessions.BeginGrace();
        var whole = new FileLock { Kind = LockKind.Write, Start = 0, End = long.MaxValue, Owner = 1, WholeFile = true };
        for (int round = 0; round < 20; round++)
        {
            // Which of them is ended first is not known.
            var tickets = Enumerable.Range(0, 8).Select(_ => Attach(SessionId.New()).Ticket).ToArray();
            Assert.True((await LockAsync(tickets[0], wait: false)).IsOk);
            var waiting = tickets[1..].Select(t => LockAsync(t, wait: true).AsTask()).ToArray();
            Sessions.EndAll();
            Assert.All(await Task.WhenAll(waiting).WaitAsync(TimeSpan.FromSeconds(30), Cancellation), r => Assert.False(r.IsOk));
        }

        ValueTask<FsResult> LockAsync(SessionTicket ticket, bool wait) =>
            Sessions.RunOnceAsync(new ChangeRequest(ticket, 1, 1), s => s.Access.SetLockAsync(InodeNumber.Root, whole, wait, Cancellation));
    }

    /// <summary>A client gives up what it keeps when it is on disk at the master: not at a copy that is none any more.</summary>
    [Fact]
    public async Task A_sync_that_another_copy_overtakes_is_no_sync()
    {
        await StartAsync();
        Sessions.BeginGrace();
        var ticket = Attach(SessionId.New()).Ticket;
        var gate = new TaskCompletionSource();
        var syncing = Sessions.SyncedAsync(ticket, async s =>
        {
            await gate.Task;
            return FsResult.Ok;
        });
        Sessions.EndAll();
        gate.SetResult();
        Assert.Equal(Errno.ENOTCONN, (await syncing).Error);
    }

    /// <summary>A hand-over that does not come about is as a restart: nobody takes the locks of those who have not had their time to come back.</summary>
    [Fact]
    public async Task A_copy_that_goes_on_after_all_waits_for_the_sessions_that_it_had()
    {
        await StartAsync();
        Sessions.BeginGrace();
        var (first, second, third) = (SessionId.New(), SessionId.New(), SessionId.New());
        var before = Attach(first);
        Attach(second);
        var made = (await MakeAsync(before.Ticket)).Value;
        var mount = Sessions.OpenBeside(new Holder(), AccessTimes.Relative);
        var whole = new FileLock { Kind = LockKind.Write, Start = 0, End = long.MaxValue, Owner = 1, WholeFile = true };

        _copy!.IsYielding = true;
        Sessions.Yield();
        Assert.Equal(Errno.EAGAIN, Sessions.Attach(first, new SessionStart { Client = "test" }).Error);
        await Sessions.AdmitAsync(third, Cancellation);
        _copy.IsYielding = false;
        var admission = Sessions.AdmitAsync(third, Cancellation).AsTask();
        Assert.False(admission.IsCompleted);
        var lockOfMount = mount.SetLockAsync(InodeNumber.Root, whole, false, Cancellation).AsTask();
        Assert.False(lockOfMount.IsCompleted);
        await Sessions.AdmitAsync(first, Cancellation);
        var again = Attach(first);
        // It is the same run, which has all that was answered; the mount beside it may have changed files.
        Assert.Equal(before.Run, again.Run);
        Assert.NotNull(again.Lapsed);
        // The request whose answer was lost is the one that was executed.
        Assert.Equal(made.Inode, (await MakeAsync(again.Ticket)).Value.Inode);
        Assert.True((await Sessions.RunOnceAsync(new ChangeRequest(again.Ticket, 1, 1), s => s.Access.SetLockAsync(InodeNumber.Root, whole with { Owner = 2 }, false, Cancellation))).IsOk);
        Sessions.NoteRecovered(first);
        Assert.False(admission.IsCompleted);
        Attach(second);
        Sessions.NoteRecovered(second);
        await admission;
        Assert.Equal(Errno.EAGAIN, (await lockOfMount).Error);
    }

    /// <summary>Where none of them comes it goes on all the same.</summary>
    [Fact]
    public async Task A_copy_that_goes_on_after_all_does_not_wait_for_ever()
    {
        await StartAsync();
        Sessions.BeginGrace();
        Attach(SessionId.New());
        _copy!.IsYielding = true;
        Sessions.Yield();
        Assert.False(Sessions.Recovered.IsCompleted);
        _copy.IsYielding = false;
        _time.Advance(Grains.Limits.ExpiryTick);
        Assert.False(Sessions.Recovered.IsCompleted);
        _time.Advance(GrainInterfaces.Limits.Grace);
        Assert.True(Sessions.Recovered.IsCompleted);
    }

    [Fact]
    public async Task The_lease_of_a_session_of_before_runs_from_when_the_copy_can_be_reached()
    {
        await StartAsync();
        var id = SessionId.New();
        Attach(id);
        await RestartAsync();
        // A start may take long.
        _time.Advance(Lease * 2);
        Assert.True(Sessions.IsKnown(id));
        Sessions.BeginGrace();
        Assert.Null(Attach(id).Lapsed);
        await RestartAsync();
        Sessions.BeginGrace();
        _time.Advance(Lease);
        Assert.False(Sessions.IsKnown(id));
    }

    [Fact]
    public async Task Who_does_not_come_back_in_time_is_waited_for_once()
    {
        await StartAsync();
        var id = SessionId.New();
        Attach(id);
        await RestartAsync();
        Sessions.BeginGrace();
        _time.Advance(GrainInterfaces.Limits.Grace);
        Assert.True(Sessions.Recovered.IsCompleted);
        await RestartAsync();
        Assert.True(Sessions.Recovered.IsCompleted);
        // It is waited for again once it has been there.
        Assert.NotNull(Attach(id).Lapsed);
        await RestartAsync();
        Assert.False(Sessions.Recovered.IsCompleted);
    }

    [Fact]
    public async Task The_replies_of_a_session_are_there_for_some_minutes_after_its_lease_however_often_the_copy_is_started()
    {
        await StartAsync();
        var id = SessionId.New();
        Assert.True((await MakeAsync(Attach(id).Ticket)).IsOk);
        _time.Advance(Lease);
        for (int i = 0; i < 3; i++)
        {
            await RestartAsync();
            _time.Advance(Grains.Limits.RepliesKept / 4);
        }
        // Not made again, which would be EEXIST.
        Assert.True((await MakeAsync(Attach(id).Ticket)).IsOk);
        _time.Advance(Lease);
        for (int i = 0; i < 3; i++)
        {
            _time.Advance(Grains.Limits.RepliesKept / 2);
            await RestartAsync();
        }
        _time.Advance(Grains.Limits.ExpiryTick);
        Assert.Equal(Errno.EEXIST, (await MakeAsync(Attach(id).Ticket)).Error);
    }

    [Fact]
    public async Task A_session_without_which_others_went_on_is_told_so_until_it_has_brought_everything_to_disk()
    {
        await StartAsync();
        var id = SessionId.New();
        Assert.Null(Attach(id).Lapsed);
        var before = _volume!.Now;
        _time.Advance(Lease);
        var lapsed = Attach(id).Lapsed;
        Assert.NotNull(lapsed);
        Assert.True(lapsed <= before, $"{lapsed} is later than {before}, when it was last heard of");
        await RestartAsync();
        var again = Attach(id);
        Assert.Equal(lapsed, again.Lapsed);
        var session = Sessions.Find(again.Ticket)!;
        Sessions.CaughtUp(session, session.Lapse.Count);
        await RestartAsync();
        Assert.Null(Attach(id).Lapsed);
    }

    [Fact]
    public async Task A_session_that_the_format_before_kept_is_waited_for()
    {
        await StartAsync();
        var id = SessionId.New();
        Attach(id);
        await StopAsync();
        await using (var database = new SqliteConnection($"Data Source={_folder["data/meta.db"]};Pooling=False"))
        {
            await database.OpenAsync(Cancellation);
            await using var command = database.CreateCommand();
            command.CommandText = "ALTER TABLE session DROP COLUMN lapsed; ALTER TABLE session DROP COLUMN ended; DROP TABLE branch; PRAGMA user_version = 13";
            await command.ExecuteNonQueryAsync(Cancellation);
        }
        await StartAsync();
        Assert.False(Sessions.Recovered.IsCompleted);
        Assert.True(Sessions.IsKnown(id));
        Assert.Null(Attach(id).Lapsed);
    }

    public async ValueTask DisposeAsync()
    {
        await StopAsync();
        _log.Dispose();
        _folder.Dispose();
    }

    private async Task StartAsync()
    {
        _volume = await VolumeCopy.OpenAsync(new VolumeOptions { DataFolder = _folder["data"], Copy = CopyName.Parse("master") }, _log.Factory, _time, Cancellation);
        _copy = new YieldingCopy(new EngineCopy(_volume));
        _sessions = new CopySessions(_copy, _time, exclusive: false, _log.Factory.CreateLogger<CopySessions>());
    }

    private async Task StopAsync()
    {
        _sessions?.Dispose();
        if (_volume is not null)
            await _volume.DisposeAsync();
    }

    private async Task RestartAsync()
    {
        await StopAsync();
        await StartAsync();
    }

    private SessionGrant Attach(SessionId id) => Sessions.Attach(id, new SessionStart { Client = "test" }).Value;

    /// <summary>Makes a directory, always as the same request.</summary>
    private ValueTask<FsResult<Attributes>> MakeAsync(SessionTicket ticket) => Sessions.RunOnceAsync(
        new ChangeRequest(ticket, 0, 1),
        s => s.Once(new Engine.Metadata.ChangeRecord(new Engine.Metadata.ReplyKey(ticket.Session.Value, 0, 1))).CreateAsync(
            InodeNumber.Root, "once"u8.ToArray(), new NewInode { Mode = Mode.S_IFDIR | 0x1ED }, default, Cancellation));

    /// <summary>A copy that may be about to hand over.</summary>
    private sealed class YieldingCopy(IVolumeCopy copy) : IVolumeCopy
    {
        public bool IsYielding { get; set; }

        public CopyDescription Description => copy.Description;

        public ISessionStore? Sessions => copy.Sessions;

        public VolumeSession OpenSession(IInodeHolder holder, AccessTimes accessTimes) => copy.OpenSession(holder, accessTimes);

        public ValueTask<FsResult> KeepAsync(CancellationToken cancellation) => copy.KeepAsync(cancellation);

        public FsResult<BlockInfo> GetBlock(BlockHash hash) => copy.GetBlock(hash);

        public ValueTask<FsResult<ReadOnlyMemory<byte>>> ReadBlockAsync(BlockHash hash, CancellationToken cancellation) => copy.ReadBlockAsync(hash, cancellation);

        public FsResult VerifyBlock(BlockHash hash) => copy.VerifyBlock(hash);

        public ValueTask<FsResult> FetchBlockAsync(BlockHash hash, CancellationToken cancellation) => copy.FetchBlockAsync(hash, cancellation);

        public ValueTask<FsResult> SetBlockPinnedAsync(BlockHash hash, bool pinned, CancellationToken cancellation) => copy.SetBlockPinnedAsync(hash, pinned, cancellation);

        public ValueTask<FsResult> EvictBlockAsync(BlockHash hash, CancellationToken cancellation) => copy.EvictBlockAsync(hash, cancellation);
    }
}
