using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Leases;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Sessions;

/// <summary>Leases at a copy, without a network: a change waits for those who hold to what was before, and for no longer than they do.</summary>
public sealed class LeaseTableTests : IDisposable
{
    private static readonly InodeNumber s_a = new(10);
    private static readonly InodeNumber s_b = new(11);

    private readonly ManualTime _time = new();
    private readonly TestLog _log = new();
    private readonly LeaseTable _table = new();

    [Fact]
    public async Task A_change_waits_until_every_other_holder_has_let_go()
    {
        var (mine, one, two) = (new Client(), new Client(), new Client());
        var me = Holder(mine);
        foreach (var holder in (LeaseHolder[])[me, Holder(one), Holder(two)])
            _table.Grant(holder, s_a);
        var change = _table.RecallAsync(me, [s_a]).AsTask();
        await one.Called;
        await two.Called;
        Assert.True(one.Changed);
        one.LetGo();
        Assert.False(change.IsCompleted);
        two.LetGo();
        await change;
        Assert.Empty(mine.Recalled);
        // They hold nothing any more: the next change waits for nobody.
        Assert.True(_table.RecallAsync(me, [s_a]).AsTask().IsCompleted);
        Assert.Equal(1, _table.Count);
    }

    [Fact]
    public async Task A_lease_that_was_taken_anew_is_recalled_anew()
    {
        var client = new Client();
        var holder = Holder(client);
        _table.Grant(holder, s_a);
        var first = _table.RecallAsync(null, [s_a]).AsTask();
        await client.Called;
        // Asked again while the recall is on its way: what it is told now is newer than the first change.
        _table.Grant(holder, s_a);
        var second = _table.RecallAsync(null, [s_a]).AsTask();
        client.LetGo();
        await first;
        Assert.False(second.IsCompleted);
        await client.Called;
        client.LetGo();
        await second;
        Assert.Equal([s_a, s_a], client.Recalled);
        Assert.Equal(0, _table.Count);
    }

    [Fact]
    public async Task A_client_that_does_not_answer_is_waited_for_as_long_as_it_trusts_what_it_caches()
    {
        var client = new Client();
        var holder = Holder(client);
        long term = holder.Term;
        _table.Grant(holder, s_a);
        _table.Grant(holder, s_b);
        var change = _table.RecallAsync(null, [s_a]).AsTask();
        await client.Called;
        _time.Advance(GrainInterfaces.Limits.CacheLease / 2);
        holder.Renew();
        _time.Advance(GrainInterfaces.Limits.CacheLease - TimeSpan.FromMilliseconds(1));
        Assert.False(change.IsCompleted);
        _time.Advance(TimeSpan.FromMilliseconds(1));
        await change;
        Assert.NotEqual(term, holder.Term);
        // Everything it held is void.
        Assert.True(_table.RecallAsync(null, [s_b]).AsTask().IsCompleted);
    }

    [Fact]
    public async Task The_end_of_a_session_lets_go_of_everything()
    {
        var client = new Client();
        var holder = Holder(client);
        _table.Grant(holder, s_a);
        _table.Grant(holder, s_b);
        var change = _table.RecallAsync(null, [s_a]).AsTask();
        await client.Called;
        holder.End();
        Assert.True(_table.RecallAsync(null, [s_b]).AsTask().IsCompleted);
        client.LetGo();
        await change;
        Assert.Equal(0, _table.Count);
    }

    [Fact]
    public async Task Past_their_bound_the_oldest_are_recalled()
    {
        var client = new Client();
        var holder = Holder(client);
        for (uint i = 0; i <= Grains.Limits.LeasesOfSession; i++)
            _table.Grant(holder, new InodeNumber(100 + i));
        await client.Called;
        Assert.Equal(new InodeNumber(100), client.Recalled[0]);
        Assert.False(client.Changed);
        // One of those is asked for anew before the client has let go of it.
        _table.Grant(holder, new InodeNumber(101));
        client.LetGo();
        while (_table.Count > Grains.Limits.LeasesOfSession - Grains.Limits.LeasesTakenBack + 2)
        {
            client.LetGo();
            await Task.Yield();
        }
        // A mount that goes on over a large tree is told of it now and then, and each lease has its turn.
        int calls = client.Calls;
        for (uint i = 0; i < 4 * Grains.Limits.LeasesOfSession; i++)
        {
            _table.Grant(holder, new InodeNumber(1_000_000 + i));
            if (i % 1000 == 0)
                client.LetGo();
        }
        while (_table.Count > Grains.Limits.LeasesOfSession)
        {
            client.LetGo();
            await Task.Yield();
        }
        Assert.InRange(client.Calls - calls, 1, 200);
        Assert.Equal(2, client.Recalled.Count(i => i == new InodeNumber(101)));
    }

    public void Dispose() => _log.Dispose();

    private LeaseHolder Holder(Client client) => new(_table, client, "test", _time, _log.Factory.CreateLogger<LeaseTableTests>(), _ => { });

    private sealed class Client : ISessionObserver
    {
        private readonly Channel<bool> _calls = Channel.CreateUnbounded<bool>();
        private TaskCompletionSource _letGo = new(TaskCreationOptions.RunContinuationsAsynchronously);

        public List<InodeNumber> Recalled { get; } = [];

        public int Calls { get; private set; }

        /// <summary>What the last recall said of its inodes.</summary>
        public bool Changed { get; private set; }

        /// <summary>The next recall has come.</summary>
        public Task Called => _calls.Reader.ReadAsync(TestContext.Current.CancellationToken).AsTask();

        public void LetGo() => Interlocked.Exchange(ref _letGo, new(TaskCreationOptions.RunContinuationsAsynchronously)).SetResult();

        public Task RecallAsync(InodeNumber[] inodes, bool areChanged)
        {
            Recalled.AddRange(inodes);
            Changed = areChanged;
            Calls++;
            var gone = _letGo.Task;
            _calls.Writer.TryWrite(true);
            return gone;
        }
    }
}
