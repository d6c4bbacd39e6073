using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting;
using OrleansFs.Hosting.Cluster;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Membership;

/// <summary>One master a volume.</summary>
public abstract class MasterClaimSuite(IClusterDatabase databases)
{
    private static readonly MasterClaim First = new(CopyName.Parse("one"), new Epoch(3), new Lsn(30), "machine:/one");

    private readonly VolumeId _volume = VolumeId.New();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_second_master_is_refused_in_one_line()
    {
        var cluster = await PrepareAsync();
        await TakeAsync(cluster, First);
        await TakeAsync(cluster, First);
        var refused = await Assert.ThrowsAsync<HostException>(() => TakeAsync(cluster, new(CopyName.Parse("two"), new Epoch(3), new Lsn(30), "machine:/two")));
        Assert.Contains("the copy 'one'", refused.Message, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', refused.Message);
    }

    [Fact]
    public async Task A_promoted_copy_wins_and_the_former_master_stays_out()
    {
        var cluster = await PrepareAsync();
        await TakeAsync(cluster, First);
        await TakeAsync(cluster, new(CopyName.Parse("two"), new Epoch(4), new Lsn(40), "machine:/two"));
        var refused = await Assert.ThrowsAsync<SupersededException>(() => TakeAsync(cluster, First));
        Assert.Contains("epoch 4", refused.Message, StringComparison.Ordinal);
        Assert.Equal((new Epoch(4), new Lsn(40)), (refused.By, refused.At));
        // Not even under its old name: the folder was set back to before the promotion.
        await Assert.ThrowsAsync<SupersededException>(() => TakeAsync(cluster, new(CopyName.Parse("two"), new Epoch(3), new Lsn(30), "machine:/two")));
    }

    /// <summary>What a former master has past the first epoch that is not its own nobody else has, however many began since.</summary>
    [Fact]
    public async Task A_master_that_was_away_for_several_promotions_is_told_of_the_first()
    {
        var cluster = await PrepareAsync();
        var (first, second, third) = (new EpochBeginning(new Epoch(3), new Lsn(30)), new EpochBeginning(new Epoch(4), new Lsn(40)), new EpochBeginning(new Epoch(7), new Lsn(70)));
        await TakeAsync(cluster, First, first);
        await TakeAsync(cluster, new(CopyName.Parse("three"), third.Epoch, third.Start, "machine:/three"), first, second, third);
        var refused = await Assert.ThrowsAsync<SupersededException>(() => TakeAsync(cluster, First, first));
        Assert.Equal((third.Epoch, second.Start), (refused.By, refused.At));
        Assert.Equal(second.Start, await MasterClaim.StartAfterAsync(cluster, "cluster", _volume, first.Epoch, Cancellation));
        Assert.Equal(third.Start, await MasterClaim.StartAfterAsync(cluster, "cluster", _volume, second.Epoch, Cancellation));
        Assert.Null(await MasterClaim.StartAfterAsync(cluster, "cluster", _volume, third.Epoch, Cancellation));
        // Promoted with force from less than the second epoch had: what came in between is nobody's but the first one's.
        await TakeAsync(cluster, new(CopyName.Parse("four"), new Epoch(8), new Lsn(35), "machine:/four"), first, new(new Epoch(8), new Lsn(35)));
        Assert.Equal(new Lsn(35), await MasterClaim.StartAfterAsync(cluster, "cluster", _volume, first.Epoch, Cancellation));
    }

    [Fact]
    public async Task An_epoch_is_reserved_for_one_copy()
    {
        var cluster = await PrepareAsync();
        await TakeAsync(cluster, First, new EpochBeginning(First.Epoch, First.EpochStart));
        MasterClaim one = First with { Epoch = new Epoch(4) }, two = new(CopyName.Parse("two"), new Epoch(4), new Lsn(30), "machine:/two");
        Assert.False(await ReserveAsync(two with { Epoch = First.Epoch }));
        Assert.True(await ReserveAsync(one));
        Assert.True(await ReserveAsync(one));
        Assert.False(await ReserveAsync(two));
        Assert.True(await ReserveAsync(two with { Epoch = new Epoch(5) }));
        // One that is taken is not gone back behind, nor is one that has begun begun again.
        Assert.False(await ReserveAsync(one));
        await TakeAsync(cluster, two with { Epoch = new Epoch(5) }, new EpochBeginning(new Epoch(5), new Lsn(50)));
        Assert.False(await ReserveAsync(two with { Epoch = new Epoch(5) }));
        // It fences nobody.
        Assert.True(await ReserveAsync(one with { Epoch = new Epoch(6) }));
        Assert.Equal(new Epoch(5), (await MasterClaim.FindAsync(cluster, "cluster", _volume, Cancellation))!.Epoch);
        Assert.Null(await MasterClaim.StartAfterAsync(cluster, "cluster", _volume, new Epoch(5), Cancellation));

        Task<bool> ReserveAsync(MasterClaim claim) => claim.TryReserveAsync(cluster, "cluster", _volume, Cancellation);
    }

    [Fact]
    public async Task A_master_may_get_another_name_or_move_but_not_both_at_once()
    {
        var cluster = await PrepareAsync();
        await TakeAsync(cluster, First);
        await TakeAsync(cluster, First with { Copy = CopyName.Parse("laptop") });
        await TakeAsync(cluster, First with { Copy = CopyName.Parse("laptop"), Folder = "other:/place" });
        await Assert.ThrowsAsync<HostException>(() => TakeAsync(cluster, First));
    }

    [Fact]
    public async Task Volumes_and_clusters_have_masters_of_their_own()
    {
        var cluster = await PrepareAsync();
        await TakeAsync(cluster, First);
        var other = new MasterClaim(CopyName.Parse("two"), new Epoch(1), new Lsn(10), "machine:/two");
        await other.TakeAsync(cluster, "cluster", VolumeId.New(), [], isMember: true, Cancellation);
        await other.TakeAsync(cluster, "another", _volume, [], isMember: true, Cancellation);
    }

    [Fact]
    public async Task Of_many_that_come_at_once_one_is_the_master()
    {
        var cluster = await PrepareAsync();
        var outcomes = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(async () =>
        {
            try
            {
                await TakeAsync(cluster, new(CopyName.Parse($"copy{i}"), new Epoch(1), new Lsn(10), $"machine:/{i}"));
                return 1;
            }
            catch (HostException)
            {
                return 0;
            }
        })));
        Assert.Equal(1, outcomes.Sum());
    }

    private async Task<ClusterConnection> PrepareAsync()
    {
        var cluster = databases.New();
        await ClusterSchema.PrepareAsync(cluster, Cancellation);
        return cluster;
    }

    private Task TakeAsync(ClusterConnection cluster, MasterClaim claim, params EpochBeginning[] epochs) => claim.TakeAsync(cluster, "cluster", _volume, epochs, isMember: true, Cancellation);
}

public sealed class SqliteMasterClaimTests(SqliteDatabase databases) : MasterClaimSuite(databases), IClassFixture<SqliteDatabase>;

public sealed class PostgreSqlMasterClaimTests(PostgreSqlDatabase databases) : MasterClaimSuite(databases), IClassFixture<PostgreSqlDatabase>;
