using System.Data.Common;
using System.Net;
using Microsoft.Data.Sqlite;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.Extensions.Options;
using Npgsql;
using Orleans;
using Orleans.Configuration;
using Orleans.Runtime;
using Orleans.Runtime.MembershipService;
using OrleansFs.Client;
using OrleansFs.Client.Security;
using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting;
using OrleansFs.Hosting.Cluster;
using Xunit;

namespace OrleansFs.Cluster.Tests.Membership;

/// <summary>What Orleans asks of a membership table, against Orleans' provider on our tables and statements.</summary>
public abstract class MembershipTableSuite(IClusterDatabase databases)
{
    private static readonly DateTime Noon = new(2026, 5, 1, 12, 0, 0, 120, DateTimeKind.Utc);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task An_empty_table_has_a_version_and_no_silo()
    {
        var table = await OpenAsync(databases.New());
        var data = await table.ReadAllAsync(Cancellation);
        Assert.Empty(data.Members);
        Assert.Equal(0, data.Version.Version);
    }

    [Fact]
    public async Task A_row_comes_back_as_it_was_written()
    {
        var table = await OpenAsync(databases.New());
        var silo = Silo(1);
        silo.SuspectTimes = [];
        Assert.True(await table.InsertRowAsync(silo, await NextAsync(table), Cancellation));
        silo.Status = SiloStatus.Active;
        silo.IAmAliveTime = Noon.AddMinutes(3);
        silo.AddSuspector(Silo(2).SiloAddress, Noon);
        Assert.True(await UpdateAsync(table, silo));

        var read = Assert.Single((await table.ReadAllAsync(Cancellation)).Members).Item1;
        Assert.Equal(silo.SiloAddress, read.SiloAddress);
        Assert.Equal((silo.SiloName, silo.HostName, silo.Status, silo.ProxyPort), (read.SiloName, read.HostName, read.Status, read.ProxyPort));
        Assert.Equal((silo.StartTime, silo.IAmAliveTime), (read.StartTime, read.IAmAliveTime));
        Assert.Equal(Silo(2).SiloAddress, Assert.Single(read.SuspectTimes!).Item1);
        var row = await table.ReadRowAsync(silo.SiloAddress, Cancellation);
        Assert.Equal(silo.SiloAddress, Assert.Single(row.Members).Item1.SiloAddress);
        Assert.Empty((await table.ReadRowAsync(Silo(9).SiloAddress, Cancellation)).Members);
    }

    [Fact]
    public async Task Each_change_makes_the_next_version_and_a_sign_of_life_none()
    {
        var table = await OpenAsync(databases.New());
        var silo = Silo(1);
        Assert.True(await table.InsertRowAsync(silo, await NextAsync(table), Cancellation));
        Assert.Equal(1, await VersionAsync(table));
        Assert.True(await UpdateAsync(table, silo));
        Assert.Equal(2, await VersionAsync(table));
        silo.IAmAliveTime = Noon.AddHours(1);
        await table.UpdateIAmAliveAsync(silo, Cancellation);
        Assert.Equal(2, await VersionAsync(table));
        Assert.Equal(Noon.AddHours(1), Assert.Single((await table.ReadAllAsync(Cancellation)).Members).Item1.IAmAliveTime);
    }

    [Fact]
    public async Task A_writer_that_has_read_an_older_version_changes_nothing()
    {
        var table = await OpenAsync(databases.New());
        var old = await NextAsync(table);
        Assert.True(await table.InsertRowAsync(Silo(1), old, Cancellation));
        Assert.False(await table.InsertRowAsync(Silo(2), old, Cancellation));
        var changed = Silo(1);
        changed.Status = SiloStatus.Dead;
        Assert.False(await table.UpdateRowAsync(changed, old.VersionEtag, old, Cancellation));
        Assert.False(await table.InsertRowAsync(Silo(1), await NextAsync(table), Cancellation));
        Assert.False(await UpdateAsync(table, Silo(3)));
        var data = await table.ReadAllAsync(Cancellation);
        Assert.Equal(1, data.Version.Version);
        Assert.Equal(SiloStatus.Joining, Assert.Single(data.Members).Item1.Status);
    }

    [Fact]
    public async Task Of_many_writers_with_one_version_one_succeeds()
    {
        var connection = databases.New();
        var table = await OpenAsync(connection);
        for (int round = 0; round < 10; round++)
        {
            var next = await NextAsync(table);
            int first = round * 4;
            var inserted = await Task.WhenAll(Enumerable.Range(first, 4).Select(i => Task.Run(() => table.InsertRowAsync(Silo(i), next, Cancellation))));
            Assert.Single(inserted, won => won);
        }
        var data = await table.ReadAllAsync(Cancellation);
        Assert.Equal(10, data.Members.Count);
        Assert.Equal(10, data.Version.Version);
    }

    [Fact]
    public async Task Only_active_silos_with_a_gateway_are_gateways()
    {
        var connection = databases.New();
        var table = await OpenAsync(connection);
        foreach (var (i, status, port) in ((int, SiloStatus, int)[])[(1, SiloStatus.Active, 30001), (2, SiloStatus.Active, 0), (3, SiloStatus.Dead, 30003), (4, SiloStatus.Joining, 30004)])
        {
            var silo = Silo(i);
            silo.Status = status;
            silo.ProxyPort = port;
            Assert.True(await table.InsertRowAsync(silo, await NextAsync(table), Cancellation));
        }
        var options = new AdoNetClusteringClientOptions { Invariant = connection.Invariant, ConnectionString = connection.ConnectionString };
        var gateways = new Orleans.Runtime.Membership.AdoNetGatewayListProvider(
            NullLogger<Orleans.Runtime.Membership.AdoNetGatewayListProvider>.Instance, new ServiceCollection().BuildServiceProvider(), Options.Create(options),
            Options.Create(new GatewayOptions()), Options.Create(new ClusterOptions { ClusterId = "test", ServiceId = "test" }));
        await gateways.InitializeGatewayListProvider();
        Assert.Equal(30001, Assert.Single(await gateways.GetGateways()).Port);
    }

    [Fact]
    public async Task Defunct_silos_are_cleaned_up_and_living_ones_are_not()
    {
        var table = await OpenAsync(databases.New());
        foreach (var (i, status, alive) in ((int, SiloStatus, DateTime)[])
            [(1, SiloStatus.Dead, Noon), (2, SiloStatus.Dead, Noon.AddHours(2)), (3, SiloStatus.Active, Noon), (4, SiloStatus.Dead, Noon.AddHours(1).AddMilliseconds(-1))])
        {
            var silo = Silo(i);
            silo.Status = status;
            silo.IAmAliveTime = alive;
            Assert.True(await table.InsertRowAsync(silo, await NextAsync(table), Cancellation));
        }
        await table.CleanupDefunctSiloEntriesAsync(Noon.AddHours(1), Cancellation);
        Assert.Equal([2, 3], (await table.ReadAllAsync(Cancellation)).Members.Select(m => m.Item1.SiloAddress.Generation).Order());
        await table.DeleteMembershipTableEntriesAsync("test", Cancellation);
        await table.InitializeMembershipTableAsync(true, Cancellation);
        Assert.Empty((await table.ReadAllAsync(Cancellation)).Members);
    }

    [Fact]
    public async Task Clusters_in_one_database_do_not_see_each_other()
    {
        var connection = databases.New();
        var (one, two) = (await OpenAsync(connection, "one"), await OpenAsync(connection, "two"));
        Assert.True(await one.InsertRowAsync(Silo(1), await NextAsync(one), Cancellation));
        Assert.Empty((await two.ReadAllAsync(Cancellation)).Members);
        await two.DeleteMembershipTableEntriesAsync("two", Cancellation);
        await two.InitializeMembershipTableAsync(true, Cancellation);
        Assert.Single((await one.ReadAllAsync(Cancellation)).Members);
    }

    [Fact]
    public async Task Tables_are_made_once_whoever_comes_first()
    {
        var connection = databases.New();
        await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => ClusterSchema.PrepareAsync(connection, Cancellation))));
        await OpenAsync(connection);
    }

    [Fact]
    public async Task A_database_made_before_there_was_a_secret_gets_one_and_keeps_it()
    {
        var connection = databases.New();
        await ClusterSchema.PrepareAsync(connection, Cancellation);
        await using (DbConnection database = connection.Database == ClusterDatabase.Sqlite ? new SqliteConnection(connection.ConnectionString) : new NpgsqlConnection(connection.ConnectionString))
        {
            await database.OpenAsync(Cancellation);
            await using var command = database.CreateCommand();
            command.CommandText = "DROP TABLE OrleansFsSecret; DROP TABLE OrleansFsMaster; DROP TABLE OrleansFsEpoch; " + (connection.Database == ClusterDatabase.Sqlite ? "PRAGMA user_version = 1" : "UPDATE OrleansFsSchema SET Version = 1");
            await command.ExecuteNonQueryAsync(Cancellation);
        }
        await Assert.ThrowsAsync<VolumeConnectionException>(() => ClusterSecret.ReadAsync(connection, Cancellation));
        await ClusterSchema.PrepareAsync(connection, Cancellation);
        byte[] secret = (await ClusterSecret.ReadAsync(connection, Cancellation)).Key.ToArray();
        await ClusterSchema.PrepareAsync(connection, Cancellation);
        Assert.Equal(secret, (await ClusterSecret.ReadAsync(connection, Cancellation)).Key.ToArray());
        Assert.True(secret.Distinct().Count() > 8, "the secret is not random");
    }

    internal static async Task<IMembershipTable> OpenAsync(ClusterConnection connection, string cluster = "test")
    {
        await ClusterSchema.PrepareAsync(connection, Cancellation);
        var options = new AdoNetClusteringSiloOptions { Invariant = connection.Invariant, ConnectionString = connection.ConnectionString };
        var table = new AdoNetClusteringTable(
            new ServiceCollection().BuildServiceProvider(), Options.Create(new ClusterOptions { ClusterId = cluster, ServiceId = "test" }), Options.Create(options),
            NullLogger<AdoNetClusteringTable>.Instance);
        await ((IMembershipTable)table).InitializeMembershipTableAsync(true, Cancellation);
        return table;
    }

    internal static MembershipEntry Silo(int generation) => new()
    {
        SiloAddress = SiloAddress.New(IPAddress.Loopback, 11111, generation),
        SiloName = $"silo{generation}",
        HostName = "host",
        Status = SiloStatus.Joining,
        ProxyPort = 30000,
        StartTime = Noon,
        IAmAliveTime = Noon,
    };

    internal static async Task<TableVersion> NextAsync(IMembershipTable table) => (await table.ReadAllAsync(Cancellation)).Version.Next();

    /// <summary>As Orleans does it: with the etag that a row has been read with, which is the table's version.</summary>
    private static async Task<bool> UpdateAsync(IMembershipTable table, MembershipEntry silo)
    {
        var next = await NextAsync(table);
        return await table.UpdateRowAsync(silo, next.VersionEtag, next, Cancellation);
    }

    private static async Task<int> VersionAsync(IMembershipTable table) => (await table.ReadAllAsync(Cancellation)).Version.Version;
}

public sealed class SqliteMembershipTableTests(SqliteDatabase databases) : MembershipTableSuite(databases), IClassFixture<SqliteDatabase>
{
    [Fact]
    public async Task Another_programs_database_is_refused()
    {
        var connection = databases.New();
        using (var sqlite = new SqliteConnection(connection.ConnectionString))
        {
            sqlite.Open();
            using var command = sqlite.CreateCommand();
            command.CommandText = "CREATE TABLE photos (name TEXT)";
            command.ExecuteNonQuery();
        }
        var e = await Assert.ThrowsAsync<HostException>(() => ClusterSchema.PrepareAsync(connection, TestContext.Current.CancellationToken));
        Assert.Contains("not one of an OrleansFs cluster", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_newer_format_is_refused()
    {
        var connection = databases.New();
        await OpenAsync(connection);
        using (var sqlite = new SqliteConnection(connection.ConnectionString))
        {
            sqlite.Open();
            using var command = sqlite.CreateCommand();
            command.CommandText = "PRAGMA user_version = 99";
            command.ExecuteNonQuery();
        }
        var e = await Assert.ThrowsAsync<HostException>(() => ClusterSchema.PrepareAsync(connection, TestContext.Current.CancellationToken));
        Assert.Contains("format 99", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task The_file_is_private_to_its_owner()
    {
        var connection = databases.New();
        await OpenAsync(connection);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(connection.File!));
    }
}

public sealed class PostgreSqlMembershipTableTests(PostgreSqlDatabase databases) : MembershipTableSuite(databases), IClassFixture<PostgreSqlDatabase>;
