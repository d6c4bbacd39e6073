using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Engine.Replication;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Replication;

/// <summary>A replica in a folder of its own, behind a link that a test can cut, and that can be killed and started again.</summary>
internal sealed class ReplicaFixture : IAsyncDisposable, IInodeHolder
{
    private readonly List<string> _folders = [];

    private readonly long? _cacheSize;

    private readonly TimeProvider _time;

    private ReplicaFixture(string name, string folder, long? cacheSize, TimeProvider time, ReplicaReceiver receiver)
    {
        Name = CopyName.Parse(name);
        _cacheSize = cacheSize;
        _time = time;
        Folder = folder;
        Receiver = receiver;
        Link = new TestLink(receiver);
        _folders.Add(folder);
    }

    public CopyName Name { get; }

    public string Folder { get; private set; }

    public ReplicaReceiver Receiver { get; private set; }

    public TestLink Link { get; }

    public VolumeCopy Volume => Receiver.Volume ?? throw new InvalidOperationException("the replica has had no contact yet");

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <param name="name">Its name.</param>
    /// <param name="cacheSize">The bound that it has once it is a master; null for none.</param>
    /// <param name="time">Its time; null for the system's.</param>
    public static async Task<ReplicaFixture> CreateAsync(string name = "nas", long? cacheSize = null, TimeProvider? time = null)
    {
        string folder = Directory.CreateTempSubdirectory("ofs-replica-").FullName;
        time ??= TimeProvider.System;
        return new ReplicaFixture(name, folder, cacheSize, time, await OpenAsync(name, folder, cacheSize, time));
    }

    /// <summary>SIGKILL and a new start: what the kernel has of the folder at this moment is all that is left.</summary>
    public async Task KillAsync()
    {
        Link.Target = null;
        string killed = KilledFolder.Copy(Folder, "ofs-replica-");
        await Receiver.CloseAsync();
        _folders.Add(killed);
        Folder = killed;
        Receiver = await OpenAsync(Name.Value, killed, _cacheSize, _time);
        Link.Target = Receiver;
    }

    /// <param name="atRest">Done while nobody has its folder open.</param>
    public async Task RestartAsync(Func<Task>? atRest = null)
    {
        Link.Target = null;
        await Receiver.CloseAsync();
        await (atRest?.Invoke() ?? Task.CompletedTask);
        Receiver = await OpenAsync(Name.Value, Folder, _cacheSize, _time);
        Link.Target = Receiver;
    }

    /// <summary>Makes it the master, with what others have.</summary>
    public Task<Epoch> PromoteAsync(params ReplicaFixture[] others) => Receiver.PromoteAsync(others.ToDictionary(o => o.Name, o => (IReplicaLink)o.Link), force: false, Cancellation);

    /// <summary>A whole verification: the blocks that it looked at, and how many of them were damaged.</summary>
    public async Task<(long Blocks, long Damaged)> VerifyAsync() => await Volume.VerifyAllAsync();

    public LocalSession OpenSession() => Volume.OpenSession(this);

    bool IInodeHolder.Holds(InodeNumber inode) => false;

    public async ValueTask DisposeAsync()
    {
        await Receiver.CloseAsync();
        foreach (string folder in _folders)
            Directory.Delete(folder, recursive: true);
    }

    private static Task<ReplicaReceiver> OpenAsync(string name, string folder, long? cacheSize, TimeProvider time) =>
        ReplicaReceiver.OpenAsync(new VolumeOptions { DataFolder = folder, Copy = CopyName.Parse(name), Memory = 32 << 20, CacheSize = cacheSize }, NullLoggerFactory.Instance, time, Cancellation);
}

/// <summary>A link whose calls may fail, before they are made or after, so that the answer is lost. Counts what goes over it.</summary>
internal sealed class TestLink(IReplicaLink? target) : IReplicaLink
{
    private readonly Lock _lock = new();
    private Random? _faults;
    private double _rate;
    private long _stored;
    private long _storedBytes;
    private long _copies;
    private long _instructions;
    private long _fetched;

    /// <summary>Null: nobody answers.</summary>
    public IReplicaLink? Target { get; set; } = target;

    /// <summary>Completed when a store may go on; null to let all pass.</summary>
    public Task? Gate { get; set; }

    public long BlocksStored => Interlocked.Read(ref _stored);

    public long BytesStored => Interlocked.Read(ref _storedBytes);

    public long BlocksAskedFor => Interlocked.Read(ref _fetched);

    /// <summary>Blocks that were asked for in one call, at most.</summary>
    public int MostAskedForAtOnce { get; private set; }

    public long Copies => Interlocked.Read(ref _copies);

    public void FailAtRandom(Random random, double rate)
    {
        lock (_lock)
            (_faults, _rate) = (random, rate);
    }

    public ValueTask<ReplicaReply> HelloAsync(MasterHello hello, CancellationToken cancellation) => CallAsync(t => t.HelloAsync(hello, cancellation));

    public ValueTask<ReplicaReply> OfferAsync(Epoch epoch, BlockHash[] hashes, CancellationToken cancellation) => CallAsync(t => t.OfferAsync(epoch, hashes, cancellation));

    public async ValueTask<ReplicaReply> StoreAsync(Epoch epoch, ShippedBlock[] blocks, CancellationToken cancellation)
    {
        if (Gate is { } gate)
            await gate.WaitAsync(cancellation);
        Interlocked.Add(ref _stored, blocks.Length);
        Interlocked.Add(ref _storedBytes, blocks.Sum(b => (long)b.Payload.Length));
        return await CallAsync(t => t.StoreAsync(epoch, blocks, cancellation));
    }

    /// <summary>Told of each message of instructions; what it gives goes on in its place.</summary>
    public Func<ReadOnlyMemory<byte>, ReadOnlyMemory<byte>>? Building { get; set; }

    public long BytesOfInstructions => Interlocked.Read(ref _instructions);

    public ValueTask<ReplicaReply> BuildAsync(Epoch epoch, ReadOnlyMemory<byte> program, CancellationToken cancellation)
    {
        Interlocked.Add(ref _instructions, program.Length);
        var message = Building?.Invoke(program) ?? program;
        return CallAsync(t => t.BuildAsync(epoch, message, cancellation));
    }

    /// <summary>Told of each shipment of the journal; what it gives goes on in its place.</summary>
    public Func<JournalShipment, JournalShipment>? Applying { get; set; }

    public ValueTask<ReplicaReply> ApplyAsync(JournalShipment shipment, CancellationToken cancellation)
    {
        var message = Applying?.Invoke(shipment) ?? shipment;
        return CallAsync(t => t.ApplyAsync(message, cancellation));
    }

    /// <summary>Told of each answer to a pulse, which is given when this completes.</summary>
    public Func<Task>? Pulsed { get; set; }

    public async ValueTask<ReplicaReply> PulseAsync(Epoch epoch, CancellationToken cancellation)
    {
        var reply = await CallAsync(t => t.PulseAsync(epoch, cancellation));
        if (Pulsed is { } pulsed)
            await pulsed().WaitAsync(cancellation);
        return reply;
    }

    public ValueTask<ReplicaReply> BeginCopyAsync(CopyOffer offer, CancellationToken cancellation)
    {
        Interlocked.Increment(ref _copies);
        return CallAsync(t => t.BeginCopyAsync(offer, cancellation));
    }

    public ValueTask<ReplicaReply> PutCopyAsync(Guid copy, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellation) => CallAsync(t => t.PutCopyAsync(copy, offset, data, cancellation));

    public ValueTask<ReplicaReply> WantedAsync(Guid copy, BlockHash after, CancellationToken cancellation) => CallAsync(t => t.WantedAsync(copy, after, cancellation));

    /// <summary>Told before each end of a full copy.</summary>
    public Action? EndingCopy { get; set; }

    public ValueTask<ReplicaReply> EndCopyAsync(Guid copy, CancellationToken cancellation)
    {
        EndingCopy?.Invoke();
        return CallAsync(t => t.EndCopyAsync(copy, cancellation));
    }

    public ValueTask<FetchReply> FetchAsync(BlockHash[] hashes, CancellationToken cancellation)
    {
        Interlocked.Add(ref _fetched, hashes.Length);
        lock (_lock)
            MostAskedForAtOnce = Math.Max(MostAskedForAtOnce, hashes.Length);
        return CallAsync(t => t.FetchAsync(hashes, cancellation));
    }

    /// <summary>Told of each hold, which goes on when this completes.</summary>
    public Func<Task>? Holding { get; set; }

    public async ValueTask<ReplicaReply> HoldAsync(VolumeId volume, Epoch epoch, CopyName by, CancellationToken cancellation)
    {
        if (Holding is { } holding)
            await holding().WaitAsync(cancellation);
        return await CallAsync(t => t.HoldAsync(volume, epoch, by, cancellation));
    }

    public ValueTask<JournalReply> ReadJournalAsync(Epoch held, Epoch epoch, Guid? branch, Lsn after, CancellationToken cancellation) => CallAsync(t => t.ReadJournalAsync(held, epoch, branch, after, cancellation));

    private async ValueTask<T> CallAsync<T>(Func<IReplicaLink, ValueTask<T>> call)
    {
        MaybeFail();
        var target = Target ?? throw new IOException("the replica is away");
        var reply = await call(target);
        // What a process does after the moment of its kill nobody hears of.
        if (!ReferenceEquals(Target, target))
            throw new IOException("the replica was killed");
        MaybeFail();
        return reply;
    }

    private void MaybeFail()
    {
        lock (_lock)
        {
            if (_faults is { } random && random.NextDouble() < _rate)
                throw new IOException("the link was cut");
        }
    }
}
