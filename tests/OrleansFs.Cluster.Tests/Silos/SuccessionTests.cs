using System.Globalization;
using System.Text;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>Sessions when another copy becomes the master.</summary>
public sealed class SuccessionTests : IDisposable
{
    private static readonly Caller s_root = new(0, 0, 1, 0x12);
    private static readonly NewInode s_file = new() { Mode = Mode.S_IFREG | 0x1A4 };
    private readonly TestFolder _folder = new();

    private static CancellationToken Cancellation => RunningSilo.Cancellation;

    [Fact]
    public async Task A_session_goes_on_at_the_copy_that_a_running_master_hands_over_to()
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        await using var master = await RunningSilo.StartAsync(_folder["m"], "master", cluster);
        await using var replica = await RunningReplica.StartAsync(_folder["r"], "nas", cluster);
        await using var connection = await VolumeConnection.ConnectAsync(new VolumeConnectionOptions { Cluster = cluster, Loggers = replica.Log.Factory }, Cancellation);
        var holder = new Holder();
        await using var follows = await AttachAsync(connection, holder, follows: true);
        var open = (await follows.CreateAsync(InodeNumber.Root, "open"u8.ToArray(), s_file, s_root, Cancellation)).Value.Inode;
        holder.Know(open);
        Assert.True((await follows.WriteAsync(open, 0, "content"u8.ToArray(), WriteFlags.None, Cancellation)).IsOk);
        Assert.True((await follows.UnlinkAsync(InodeNumber.Root, "open"u8.ToArray(), Cancellation)).IsOk);
        var locked = (await follows.CreateAsync(InodeNumber.Root, "locked"u8.ToArray(), s_file, s_root, Cancellation)).Value.Inode;
        var wanted = new FileLock { Kind = LockKind.Write, Start = 0, End = ulong.MaxValue, Pid = 1, Owner = 1 };
        Assert.True((await follows.SetLockAsync(locked, wanted, wait: false, Cancellation)).IsOk);

        // It has had its first full copy.
        await DrainAsync(replica);
        using var end = new CancellationTokenSource();
        var works = Enumerable.Range(0, 4).Select(i => Task.Run(() => WorkAsync(follows, i, end.Token))).ToList();
        await Task.Delay(500, Cancellation);
        var promotion = await Copy(replica, "nas").PromoteAsync(force: false, Cancellation);
        await Task.Delay(500, Cancellation);
        await end.CancelAsync();
        int[] made = await Task.WhenAll(works);

        Assert.Equal(new Promotion { Epoch = new Epoch(2), HandedOver = CopyName.Parse("master") }, promotion.Value);
        Assert.Equal("nas", follows.Copy.Copy.Value);
        using var there = replica.Receiver.Volume!.OpenSession(new Holder());
        for (int i = 0; i < made.Length; i++)
        {
            Assert.True(made[i] > 0);
            for (int file = 0; file < made[i]; file++)
                Assert.Equal(Errno.None, (await there.LookupAsync(InodeNumber.Root, Name(i, file), Cancellation)).Error);
            Assert.Equal(Errno.ENOENT, (await there.LookupAsync(InodeNumber.Root, Name(i, made[i]), Cancellation)).Error);
        }
        byte[] content = new byte[10];
        Assert.Equal(7, (await follows.ReadAsync(open, 0, content, Cancellation)).Value);
        Assert.Equal("content"u8, content.AsSpan(0, 7));
        Assert.Equal(Errno.EAGAIN, (await there.SetLockAsync(locked, wanted, wait: false, Cancellation)).Error);
        while (master.Host.Volume.FencedBy is null)
            await Task.Delay(20, Cancellation);
        await using var stays = await AttachAsync(connection, new Holder(), follows: false);
        Assert.Equal(Errno.EROFS, (await stays.CreateAsync(InodeNumber.Root, "no"u8.ToArray(), s_file, s_root, Cancellation)).Error);
        Assert.Equal("master", stays.Copy.Copy.Value);
    }

    [Fact]
    public async Task A_change_whose_answer_was_lost_with_the_master_happens_once()
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        var id = SessionId.New();
        var master = await RunningSilo.StartAsync(_folder["m"], "master", cluster);
        await using var replica = await RunningReplica.StartAsync(_folder["r"], "nas", cluster);
        var volume = master.Host.Volume.Id;
        var grant = (await Session(replica, id, "master").AttachAsync(Start, Cancellation)).Value;
        var made = await Names(replica, volume, "master").CreateAsync(new ChangeRequest(grant.Ticket, 3, 1), InodeNumber.Root, "a"u8.ToArray(), s_file, s_root, Cancellation);
        var gone = await Names(replica, volume, "master").CreateAsync(new ChangeRequest(grant.Ticket, 4, 1), InodeNumber.Root, "b"u8.ToArray(), s_file, s_root, Cancellation);
        Assert.True((await Names(replica, volume, "master").UnlinkAsync(new ChangeRequest(grant.Ticket, 4, 2), InodeNumber.Root, "b"u8.ToArray(), Cancellation)).Error == Errno.None);
        await DrainAsync(replica);
        await master.DisposeAsync();

        Assert.Equal(new Promotion { Epoch = new Epoch(2) }, (await Copy(replica, "nas").PromoteAsync(force: false, Cancellation)).Value);
        var again = (await Session(replica, id, "nas").AttachAsync(Start, Cancellation)).Value;
        var other = await Names(replica, volume, "nas").CreateAsync(new ChangeRequest(again.Ticket, 3, 1), InodeNumber.Root, "a"u8.ToArray(), s_file, s_root, Cancellation);
        Assert.Equal((Errno.None, made.Inode!.Value.Inode), (other.Error, other.Inode!.Value.Inode));
        Assert.Equal(Errno.None, (await Names(replica, volume, "nas").UnlinkAsync(new ChangeRequest(again.Ticket, 4, 2), InodeNumber.Root, "b"u8.ToArray(), Cancellation)).Error);
        // A number that the master before may have given out, and never replicated, means nothing else here.
        var next = await Names(replica, volume, "nas").CreateAsync(new ChangeRequest(again.Ticket, 5, 1), InodeNumber.Root, "c"u8.ToArray(), s_file, s_root, Cancellation);
        Assert.True(next.Inode!.Value.Inode.Value > gone.Inode!.Value.Inode.Value + 1_000_000);
        replica.Log.AssertQuiet();
    }

    /// <summary>The copies that a replica reaches may know of no master since their own. The cluster's database does: two masters of one epoch would be fenced by nobody.</summary>
    [Fact]
    public async Task A_replica_that_slept_through_a_promotion_takes_the_place_of_its_master_only_where_that_is_asked_for()
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        var master = await RunningSilo.StartAsync(_folder["m"], "master", cluster);
        var nas = await RunningReplica.StartAsync(_folder["n"], "nas", cluster);
        var usb = await RunningReplica.StartAsync(_folder["u"], "usb", cluster);
        using (var there = master.Host.Volume.OpenSession(new Holder()))
            Assert.Equal(Errno.None, (await there.CreateAsync(InodeNumber.Root, "file"u8.ToArray(), s_file, s_root, Cancellation)).Error);
        await DrainAsync(nas, copies: 2);
        await usb.DisposeAsync();
        await master.DisposeAsync();
        Assert.Equal(new Epoch(2), (await Copy(nas, "nas").PromoteAsync(force: false, Cancellation)).Value.Epoch);
        await nas.DisposeAsync();

        usb = await RunningReplica.StartAsync(_folder["u"], "usb", cluster);
        Assert.Equal(Errno.ESTALE, (await Copy(usb, "usb").PromoteAsync(force: false, Cancellation)).Error);
        Assert.Equal(Engine.VolumeRole.Replica, usb.Receiver.Volume!.Role);
        Assert.Equal(new Epoch(3), (await Copy(usb, "usb").PromoteAsync(force: true, Cancellation)).Value.Epoch);
        await usb.DisposeAsync();
        await using var back = await RunningSilo.StartAsync(_folder["n"], "nas", cluster);
        Assert.Equal(new Epoch(3), back.Host.Volume.FencedBy);
        await using var again = await RunningSilo.StartAsync(_folder["u"], "usb", cluster);
        Assert.Null(again.Host.Volume.FencedBy);
        await using var first = await RunningSilo.StartAsync(_folder["m"], "master", cluster);
        Assert.Equal(new Epoch(3), first.Host.Volume.FencedBy);
    }

    /// <summary>It is of no use to a promotion, and none can be made without a look at the others.</summary>
    [Fact]
    public async Task A_copy_that_cannot_tell_how_it_stands_is_listed_with_the_others()
    {
        var cluster = ClusterConnection.Sqlite(_folder["shared.db"]);
        var master = await RunningSilo.StartAsync(_folder["m"], "master", cluster);
        await using var replica = await RunningReplica.StartAsync(_folder["r"], "nas", cluster);
        var volume = master.Host.Volume;
        var (id, name, blockSize) = (volume.Id, volume.Name, volume.BlockSize);
        using (var there = volume.OpenSession(new Holder()))
            Assert.Equal(Errno.None, (await there.CreateAsync(InodeNumber.Root, "file"u8.ToArray(), s_file, s_root, Cancellation)).Error);
        await DrainAsync(replica);
        await master.DisposeAsync();
        await using var fresh = await RunningReplica.StartAsync(_folder["f"], "fresh", cluster);
        // The beginning of a first full copy: the volume is known, and nothing of it is there.
        var hello = new MasterHello { Volume = id, VolumeName = name, BlockSize = blockSize, Master = CopyName.Parse("master"), Epoch = new Epoch(1), Epochs = [new EpochBeginning(new Epoch(1), Lsn.Zero)] };
        Assert.Equal(ReplicaOutcome.Ok, (await fresh.Receiver.HelloAsync(hello, Cancellation)).Outcome);

        await using var connection = await VolumeConnection.ConnectAsync(new VolumeConnectionOptions { Cluster = cluster, Loggers = replica.Log.Factory }, Cancellation);
        var report = await connection.ListReplicasAsync(id, Cancellation);
        Assert.Null(report.Master);
        Assert.Equal(["fresh", "nas"], report.Replicas.Select(r => r.Name).Order());
        Assert.Equal("it has not been given its first full copy yet", report.Replicas.Single(r => r.Name == "fresh").Trouble);
        Assert.Null(report.Replicas.Single(r => r.Name == "nas").Trouble);
        Assert.Equal(new Epoch(2), (await connection.PromoteAsync(CopyName.Parse("nas"), force: false, Cancellation)).Epoch);
    }

    public void Dispose() => _folder.Dispose();

    private static SessionStart Start => new() { Client = "test", Contract = Contract.Id };

    private static Task<GrainVolumeAccess> AttachAsync(VolumeConnection connection, Holder holder, bool follows) =>
        GrainVolumeAccess.AttachAsync(connection, CopyName.Parse("master"), holder, new RemoteVolumeOptions { Client = "test", FollowsMaster = follows }, Cancellation);

    private static async Task DrainAsync(RunningReplica replica, int copies = 1)
    {
        Lsn? target = null;
        for (bool isDone = false; !isDone;)
        {
            var step = (await Copy(replica, "master").DrainAsync(copies, target, Cancellation)).Value;
            (isDone, target) = (step.IsDone, step.Target);
        }
    }

    /// <summary>Makes one file after the other. Gives how many.</summary>
    private static async Task<int> WorkAsync(GrainVolumeAccess volume, int worker, CancellationToken end)
    {
        int made = 0;
        for (; !end.IsCancellationRequested; made++)
            Assert.Equal(Errno.None, (await volume.CreateAsync(InodeNumber.Root, Name(worker, made), s_file, s_root, Cancellation)).Error);
        return made;
    }

    private static byte[] Name(int worker, int file) => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{worker}-{file}"));

    private static ICopyGrain Copy(RunningReplica from, string name) => from.Grains.GetGrain<ICopyGrain>(new CopyGrainKey(CopyName.Parse(name)).ToString());

    private static ISessionGrain Session(RunningReplica from, SessionId id, string copy) => from.Grains.GetGrain<ISessionGrain>(new SessionKey(id, CopyName.Parse(copy)).ToString());

    private static INamespaceGrain Names(RunningReplica from, VolumeId volume, string copy) => from.Grains.GetGrain<INamespaceGrain>(new NamespaceKey(volume, CopyName.Parse(copy)).ToString());
}
