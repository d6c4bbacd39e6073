using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Hosting;
using Orleans;
using Orleans.Configuration;
using Orleans.Hosting;
using Orleans.Runtime;
using Orleans.Storage;
using OrleansFs.GrainInterfaces;
using OrleansFs.Hosting.Cluster;
using Xunit;

namespace OrleansFs.Cluster.Tests.Membership;

/// <summary>Grain state, against Orleans' provider on our tables and statements.</summary>
public abstract class GrainStorageSuite(IClusterDatabase databases)
{
    private static readonly GrainType Type = GrainType.Create("replication");
    private static readonly GrainId Text = GrainId.Create("replication", "nas@master");

    [Fact]
    public async Task State_is_read_back_as_it_was_written()
    {
        await using var store = await Store.OpenAsync(databases.New());
        foreach (var grain in (GrainId[])[Text, GrainId.Create("replication", "other@master"), GrainId.Create(Type, GrainIdKeyExtensions.CreateIntegerKey(7)),
            GrainId.Create(Type, GrainIdKeyExtensions.CreateGuidKey(Guid.NewGuid(), "x"))])
        {
            var state = new GrainState<Cursor>(new Cursor { Position = 5, Peer = grain.ToString() });
            await store.Storage.WriteStateAsync("cursor", grain, state);
            var read = new GrainState<Cursor>(new Cursor());
            await store.Storage.ReadStateAsync("cursor", grain, read);
            Assert.Equal((5L, grain.ToString(), true), (read.State!.Position, read.State!.Peer, read.RecordExists));
            Assert.Equal(state.ETag, read.ETag);
        }
    }

    [Fact]
    public async Task State_that_was_never_written_is_new()
    {
        await using var store = await Store.OpenAsync(databases.New());
        var read = new GrainState<Cursor>(new Cursor());
        await store.Storage.ReadStateAsync("cursor", Text, read);
        Assert.False(read.RecordExists);
        Assert.Null(read.ETag);
    }

    [Fact]
    public async Task A_writer_that_has_read_an_older_state_is_refused()
    {
        await using var store = await Store.OpenAsync(databases.New());
        var (mine, other) = (new GrainState<Cursor>(new Cursor { Position = 1 }), new GrainState<Cursor>(new Cursor { Position = 2 }));
        await store.Storage.WriteStateAsync("cursor", Text, mine);
        await Assert.ThrowsAsync<InconsistentStateException>(() => store.Storage.WriteStateAsync("cursor", Text, other));
        await store.Storage.ReadStateAsync("cursor", Text, other);
        other.State!.Position = 3;
        await store.Storage.WriteStateAsync("cursor", Text, other);
        await Assert.ThrowsAsync<InconsistentStateException>(() => store.Storage.WriteStateAsync("cursor", Text, mine));
        await Assert.ThrowsAsync<InconsistentStateException>(() => store.Storage.ClearStateAsync("cursor", Text, mine));
        var read = new GrainState<Cursor>(new Cursor());
        await store.Storage.ReadStateAsync("cursor", Text, read);
        Assert.Equal(3, read.State!.Position);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task Cleared_state_is_gone_and_may_be_written_again(bool delete)
    {
        await using var store = await Store.OpenAsync(databases.New(), delete);
        var state = new GrainState<Cursor>(new Cursor { Position = 1 });
        await store.Storage.WriteStateAsync("cursor", Text, state);
        await store.Storage.ClearStateAsync("cursor", Text, state);
        Assert.False(state.RecordExists);
        var read = new GrainState<Cursor>(new Cursor());
        await store.Storage.ReadStateAsync("cursor", Text, read);
        Assert.False(read.RecordExists);
        read.State!.Position = 9;
        await store.Storage.WriteStateAsync("cursor", Text, read);
        var again = new GrainState<Cursor>(new Cursor());
        await store.Storage.ReadStateAsync("cursor", Text, again);
        Assert.Equal(9, again.State!.Position);
    }

    [Fact]
    public async Task Of_many_first_writers_one_succeeds()
    {
        await using var store = await Store.OpenAsync(databases.New());
        var results = await Task.WhenAll(Enumerable.Range(0, 8).Select(i => Task.Run(async () =>
        {
            try
            {
                await store.Storage.WriteStateAsync("cursor", Text, new GrainState<Cursor>(new Cursor { Position = i }));
                return true;
            }
            catch (InconsistentStateException)
            {
                return false;
            }
        })));
        Assert.Single(results, won => won);
    }

    internal sealed class Cursor
    {
        public long Position { get; set; }

        public string Peer { get; set; } = "";
    }

    /// <summary>The provider in a silo that is never started: only its own start runs.</summary>
    private sealed class Store(IHost host) : IAsyncDisposable
    {
        public IGrainStorage Storage => host.Services.GetRequiredKeyedService<IGrainStorage>("Default");

        public static async Task<Store> OpenAsync(ClusterConnection connection, bool delete = true)
        {
            await ClusterSchema.PrepareAsync(connection, TestContext.Current.CancellationToken);
            var builder = Host.CreateEmptyApplicationBuilder(new HostApplicationBuilderSettings { DisableDefaults = true });
            builder.UseOrleans(silo => silo.UseLocalhostClustering().AddAdoNetGrainStorageAsDefault(o =>
            {
                o.Invariant = connection.Invariant;
                o.ConnectionString = connection.ConnectionString;
                o.DeleteStateOnClear = delete;
            }));
            var host = builder.Build();
            var start = new StartOnly();
            ((ILifecycleParticipant<ISiloLifecycle>)host.Services.GetRequiredKeyedService<IGrainStorage>("Default")).Participate(start);
            await start.RunAsync();
            return new Store(host);
        }

        public async ValueTask DisposeAsync() => await ((IAsyncDisposable)host).DisposeAsync();
    }

    private sealed class StartOnly : ISiloLifecycle
    {
        private readonly List<ILifecycleObserver> _observers = [];

        public int HighestCompletedStage => 0;

        public int LowestStoppedStage => 0;

        public IDisposable Subscribe(string observerName, int stage, ILifecycleObserver observer)
        {
            _observers.Add(observer);
            return new MemoryStream();
        }

        public async Task RunAsync()
        {
            foreach (var observer in _observers)
                await observer.OnStart(CancellationToken.None);
        }
    }
}

public sealed class SqliteGrainStorageTests(SqliteDatabase databases) : GrainStorageSuite(databases), IClassFixture<SqliteDatabase>;

public sealed class PostgreSqlGrainStorageTests(PostgreSqlDatabase databases) : GrainStorageSuite(databases), IClassFixture<PostgreSqlDatabase>;
