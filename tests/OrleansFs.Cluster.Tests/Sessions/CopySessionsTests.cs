using Microsoft.Extensions.Logging;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Sessions;

/// <summary>Sessions at a copy, without a network: leases, and inodes that have lost their names.</summary>
public sealed class CopySessionsTests : IDisposable
{
    private static readonly CancellationToken None = CancellationToken.None;

    private readonly ManualTime _time = new();
    private readonly TestLog _log = new();
    private readonly MemoryCopy _copy;
    private readonly CopySessions _sessions;

    public CopySessionsTests()
    {
        _copy = new MemoryCopy(_time);
        _sessions = new CopySessions(_copy, _time, exclusive: false, _log.Factory.CreateLogger<CopySessions>());
    }

    [Fact]
    public void A_silent_session_ends_with_its_lease()
    {
        var quiet = Attach();
        var loud = Attach();
        for (int i = 0; i < 10; i++)
        {
            _time.Advance(Step);
            Assert.NotNull(_sessions.Find(loud));
        }
        Assert.Null(_sessions.Find(quiet));
        Assert.Equal(1, _sessions.Count);
        Assert.Single(_log.Lines, l => l.Contains("nothing was heard of it", StringComparison.Ordinal));
    }

    [Fact]
    public void A_ticket_of_an_earlier_attachment_is_worth_nothing()
    {
        var id = SessionId.New();
        var first = _sessions.Attach(id, Start).Value.Ticket;
        var second = _sessions.Attach(id, Start).Value.Ticket;
        Assert.Null(_sessions.Find(first));
        Assert.NotNull(_sessions.Find(second));
        Assert.Equal(Errno.ENOTCONN, _sessions.Detach(first).Error);
        Assert.True(_sessions.Detach(second).IsOk);
        Assert.Equal(0, _sessions.Count);
    }

    [Fact]
    public void Who_wants_another_volume_is_refused_and_nothing_is_kept_of_it()
    {
        Assert.Equal(Errno.ESTALE, _sessions.Attach(SessionId.New(), Start with { Volume = VolumeId.New() }).Error);
        Assert.Equal(0, _sessions.Count);
        Assert.True(_sessions.Attach(SessionId.New(), Start with { Volume = _copy.Description.Volume }).IsOk);
    }

    [Fact]
    public async Task Locks_go_with_the_session_that_held_them()
    {
        var file = await Create("a");
        var holder = Find(Attach());
        var other = Attach();
        var exclusive = new FileLock { Kind = LockKind.Write, Start = 0, End = long.MaxValue, Owner = 1, WholeFile = true };
        Assert.True((await holder.Access.SetLockAsync(file, exclusive, false, None)).IsOk);
        for (int i = 0; i < 6; i++)
        {
            _time.Advance(Step);
            Find(other);
        }
        Assert.True(holder.IsEnded);
        Assert.Equal(1, _copy.Ended);
    }

    [Fact]
    public async Task An_unlinked_file_lives_until_every_session_has_said_that_it_does_not_know_it()
    {
        var (a, b) = (Find(Attach()), Find(Attach()));
        var file = await Create("a");
        Assert.True((await a.Access.UnlinkAsync(InodeNumber.Root, "a"u8.ToArray(), None)).IsOk);
        Assert.Equal(1, _copy.Volume.Orphans);
        a.Forget(a.TakeQuestions(100));
        Assert.Equal(1, _copy.Volume.Orphans);
        Assert.Equal(file, Assert.Single(b.TakeQuestions(100)));
        b.Forget([file]);
        Assert.Equal(0, _copy.Volume.Orphans);
        Assert.Empty(a.TakeQuestions(100));
        Assert.Empty(b.TakeQuestions(100));
    }

    [Fact]
    public async Task The_end_of_a_session_frees_what_only_it_knew()
    {
        var session = Find(Attach());
        await Create("a");
        Assert.True((await session.Access.UnlinkAsync(InodeNumber.Root, "a"u8.ToArray(), None)).IsOk);
        Assert.Equal(1, _copy.Volume.Orphans);
        Assert.True(_sessions.Detach(session.Ticket).IsOk);
        Assert.Equal(0, _copy.Volume.Orphans);
    }

    [Fact]
    public async Task Questions_come_in_turn_also_when_there_are_more_than_fit_one_answer()
    {
        var session = Find(Attach());
        for (int i = 0; i < 10; i++)
        {
            byte[] name = [(byte)('a' + i)];
            await Create(((char)name[0]).ToString());
            Assert.True((await session.Access.UnlinkAsync(InodeNumber.Root, name, None)).IsOk);
        }
        var asked = session.TakeQuestions(4).Concat(session.TakeQuestions(4)).Concat(session.TakeQuestions(2)).ToHashSet();
        Assert.Equal(10, asked.Count);
    }

    [Fact]
    public void Work_for_a_session_that_ended_gives_up_what_it_took()
    {
        var session = Find(Attach());
        Assert.True(_sessions.Detach(session.Ticket).IsOk);
        int ended = _copy.Ended;
        session.GiveUpIfEnded();
        Assert.Equal(ended + 1, _copy.Ended);
    }

    [Fact]
    public void There_is_a_bound_on_sessions()
    {
        for (int i = 0; i < Grains.Limits.MaxSessions; i++)
            Attach();
        Assert.Equal(Errno.EMFILE, _sessions.Attach(SessionId.New(), Start).Error);
    }

    public void Dispose() => _sessions.Dispose();

    private static TimeSpan Step => GrainInterfaces.Limits.SessionLease / 5;

    private static SessionStart Start => new() { Client = "test" };

    private SessionTicket Attach() => _sessions.Attach(SessionId.New(), Start).Value.Ticket;

    private ClientSession Find(SessionTicket ticket) => Assert.IsType<ClientSession>(_sessions.Find(ticket));

    private async Task<InodeNumber> Create(string name)
    {
        var access = _copy.Volume.OpenSession(new Holder());
        var made = await access.CreateAsync(InodeNumber.Root, System.Text.Encoding.UTF8.GetBytes(name), new NewInode { Mode = Mode.S_IFREG | 0x1B6 }, default, None);
        return made.Value.Inode;
    }
}
