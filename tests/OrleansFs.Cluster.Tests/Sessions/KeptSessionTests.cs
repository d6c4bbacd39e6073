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
        Sessions.CaughtUp(session, CopySessions.LapsesOf(session));
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
            command.CommandText = "ALTER TABLE session DROP COLUMN lapsed; ALTER TABLE session DROP COLUMN ended; PRAGMA user_version = 13";
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
        _sessions = new CopySessions(new EngineCopy(_volume), _time, exclusive: false, _log.Factory.CreateLogger<CopySessions>());
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
}
