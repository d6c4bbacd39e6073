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

    [Theory]
    [InlineData("Host=db;Databse=x", "has no 'databse'")]
    [InlineData("Host=db;Port=abc", "port=abc")]
    [InlineData("Host=db;Port=70000", "port=70000")]
    [InlineData("Host=db;SSL Mode=verify", "ssl mode=verify")]
    [InlineData("postgresql://db/files?sslmod=require", "has no 'sslmod'")]
    [InlineData("postgresql://db/files?sslmode=sometimes", "SSL Mode=sometimes")]
    [InlineData("postgresql://db/files?=require", "has no '?'")]
    [InlineData("postgresql:///files", "names no host")]
    public void What_the_driver_would_refuse_is_refused_in_one_line(string text, string says)
    {
        Assert.True(ClusterConnection.IsMeantBy(text));
        Assert.False(ClusterConnection.TryParse(text, out _, out string? error));
        Assert.Contains(says, error, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error);
    }

    /// <summary>What goes wrong is the password more often than not: it is neither shown nor logged.</summary>
    [Theory]
    [InlineData("postgresql://ofs:s3cret#1@db.example:5432/files")]
    [InlineData("postgres://ofs:s3cret/1@db.example/files")]
    [InlineData("postgresql://ofs:s3cret@db.example:port/files")]
    [InlineData("postgresql:/ofs:s3cret@db.example/files")]
    [InlineData("Database=files;Password=s3cret")]
    [InlineData("Hots=db;Username=ofs;PWD=s3cret")]
    [InlineData("Host=db;Port=abc;Password=s3cret")]
    [InlineData("Host=db;Password='s3cret;Port=5432")]
    [InlineData("Host=db;SSL Pasword=s3cret")]
    [InlineData("sqllite://ofs:s3cret@db.example/files")]
    public void A_mistake_does_not_show_the_password(string text)
    {
        Assert.False(ClusterConnection.TryParse(text, out _, out string? error), text);
        Assert.DoesNotContain("s3cret", error, StringComparison.Ordinal);
        Assert.DoesNotContain('\n', error);
    }

    [Theory]
    [InlineData("postgresql://ofs:s3cret/1@db.example/files")]
    [InlineData("postgres://ofs:s3cret#1@db.example/files")]
    [InlineData("postgres://ofs:s3cret?1@db.example/files")]
    public void What_an_address_has_to_escape_is_said(string text)
    {
        Assert.True(ClusterConnection.IsMeantBy(text));
        Assert.False(ClusterConnection.TryParse(text, out _, out string? error));
        Assert.Contains("%23", error, StringComparison.Ordinal);
    }

    [Fact]
    public void The_parameters_of_an_address_count()
    {
        var connection = ClusterConnection.Parse(
            "postgresql://ofs@db.example/files?sslmode=verify-full&sslrootcert=%2Fetc%2Fofs%2Fca.pem&connect_timeout=3&application_name=a%20b&target_session_attrs=read-write&Passfile=/etc/ofs/pgpass&sslpassword=s3cret");
        var parsed = new Npgsql.NpgsqlConnectionStringBuilder(connection.ConnectionString);
        Assert.Equal((Npgsql.SslMode.VerifyFull, "/etc/ofs/ca.pem", 3, "a b", "read-write"), (parsed.SslMode, parsed.RootCertificate, parsed.Timeout, parsed.ApplicationName, parsed.TargetSessionAttributes));
        Assert.Equal(("/etc/ofs/pgpass", "s3cret"), (parsed.Passfile, parsed.SslPassword));
        Assert.DoesNotContain("s3cret", connection.ToString(), StringComparison.Ordinal);
        Assert.Equal("/run/postgresql", new Npgsql.NpgsqlConnectionStringBuilder(ClusterConnection.Parse("postgresql:///files?host=/run/postgresql").ConnectionString).Host);
        Assert.DoesNotContain("s3cret", ClusterConnection.Parse("Host=db;PWD=s3cret").ToString(), StringComparison.Ordinal);
    }
}
