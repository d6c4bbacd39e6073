using OrleansFs.GrainInterfaces;
using Xunit;

namespace OrleansFs.Cluster.Tests.Contracts;

public sealed class ClusterConnectionTests
{
    [Fact]
    public void A_file_of_SQLite()
    {
        var connection = ClusterConnection.Parse("sqlite:/var/lib/my files/a;b.db");
        Assert.Equal(ClusterDatabase.Sqlite, connection.Database);
        Assert.Equal("/var/lib/my files/a;b.db", connection.File);
        Assert.Equal("/var/lib/my files/a;b.db", new Microsoft.Data.Sqlite.SqliteConnectionStringBuilder(connection.ConnectionString).DataSource);
    }

    [Theory]
    [InlineData("Host=db.example;Database=orleansfs;Username=ofs;Password=s3cret", "db.example", 5432, "orleansfs", "ofs", "s3cret")]
    [InlineData("postgresql://ofs:s3cr%40t@db.example:6000/files", "db.example", 6000, "files", "ofs", "s3cr@t")]
    [InlineData("postgres://ofs@db.example/files", "db.example", 5432, "files", "ofs", null)]
    public void A_database_of_PostgreSQL(string text, string host, int port, string database, string user, string? password)
    {
        var connection = ClusterConnection.Parse(text);
        Assert.Equal(ClusterDatabase.PostgreSql, connection.Database);
        var parsed = new Npgsql.NpgsqlConnectionStringBuilder(connection.ConnectionString);
        Assert.Equal((host, port, database, user, password), (parsed.Host, parsed.Port, parsed.Database, parsed.Username, parsed.Password));
        if (password is not null)
            Assert.DoesNotContain(password, connection.ToString(), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("sqlite:")]
    [InlineData("cluster.db")]
    [InlineData("Database=orleansfs")]
    [InlineData("mysql://db/files")]
    public void Anything_else_is_refused_with_a_reason(string text)
    {
        Assert.False(ClusterConnection.TryParse(text, out _, out string? error));
        Assert.NotEmpty(error);
    }
}
