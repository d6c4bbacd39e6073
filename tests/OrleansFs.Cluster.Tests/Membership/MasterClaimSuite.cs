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
        await other.TakeAsync(cluster, "cluster", VolumeId.New(), Cancellation);
        await other.TakeAsync(cluster, "another", _volume, Cancellation);
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

    private Task TakeAsync(ClusterConnection cluster, MasterClaim claim) => claim.TakeAsync(cluster, "cluster", _volume, Cancellation);
}

public sealed class SqliteMasterClaimTests(SqliteDatabase databases) : MasterClaimSuite(databases), IClassFixture<SqliteDatabase>;

public sealed class PostgreSqlMasterClaimTests(PostgreSqlDatabase databases) : MasterClaimSuite(databases), IClassFixture<PostgreSqlDatabase>;
