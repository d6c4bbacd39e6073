using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Replication;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;
using static OrleansFs.Engine.Tests.Replication.ReplicationSteps;

namespace OrleansFs.Engine.Tests.Replication;

/// <summary>Calls to a replica that are cancelled in the middle: who asks again finds it as one that was never interrupted.</summary>
public sealed class InterruptionTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_first_hello_that_is_cancelled_while_the_copy_is_made_does_not_refuse_the_next()
    {
        var time = new InterruptingTime();
        string folder = Directory.CreateTempSubdirectory("ofs-replica-").FullName;
        var options = new VolumeOptions { DataFolder = folder, Copy = CopyName.Parse("nas"), Memory = 32 << 20 };
        await using (var receiver = await ReplicaReceiver.OpenAsync(options, NullLoggerFactory.Instance, time, Cancellation))
        {
            var hello = new MasterHello
            {
                Volume = new VolumeId(Guid.NewGuid()),
                VolumeName = "volume",
                BlockSize = S,
                Master = CopyName.Parse("master"),
                Epoch = new Epoch(1),
                Epochs = [new EpochBeginning(new Epoch(1), Lsn.Zero)],
            };
            using var interrupted = new CancellationTokenSource();
            time.Asked = interrupted.Cancel;
            await Assert.ThrowsAnyAsync<OperationCanceledException>(async () => await receiver.HelloAsync(hello, interrupted.Token));
            Assert.True(interrupted.IsCancellationRequested);
            var reply = await receiver.HelloAsync(hello, Cancellation);
            Assert.True(reply.Outcome == ReplicaOutcome.Ok, reply.Trouble);
        }
        Directory.Delete(folder, recursive: true);
    }

    /// <summary>As where a silo is found again by two looks at the cluster: one of them sends to it, and one detachment ends that.</summary>
    [Fact]
    public async Task One_that_is_attached_twice_at_the_same_time_has_one_sender()
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        var replication = master.Copy.Replication;
        await replication.AttachAsync(replica.Name, replica.Link);
        await WriteFileAsync(master, "before", 1, 2);
        await DrainAsync(master);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(_ => replication.AttachAsync(replica.Name, replica.Link)));
        await WriteFileAsync(master, "meanwhile", 2, 2);
        await DrainAsync(master);
        await replication.DetachAsync(replica.Name);
        var before = replica.Volume.Metadata.Committed;
        await WriteFileAsync(master, "after", 3, 2);
        Assert.True((await master.Volume.SyncAllAsync(Cancellation)).IsOk);
        // One that was left over would ship it at once.
        await Task.Delay(TimeSpan.FromSeconds(1), Cancellation);
        Assert.Equal(before, replica.Volume.Metadata.Committed);
    }

    [Fact]
    public async Task What_is_applied_and_not_answered_for_is_known_of_all_the_same()
    {
        var time = new InterruptingTime();
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync(time: time);
        await MakeGoneAsync(master, replica);

        // The row that names the blocks is applied, and so is the one that deletes theirs: but whoever asked for that has gone meanwhile.
        var receiver = replica.Receiver;
        bool wasInterrupted = false;
        replica.Link.Applying = shipment =>
        {
            int naming = Array.FindIndex(shipment.Entries, e => JournalContent.Of(e.Effects.Span).Blocks.Count > 0);
            if (naming < 0 || shipment.Gone.Length == 0 || wasInterrupted)
                return shipment;
            receiver.ApplyAsync(shipment with { Entries = shipment.Entries[..(naming + 1)] }, Cancellation).AsTask().GetAwaiter().GetResult();
            Assert.Equal(8, replica.Volume.ReplicaBlocks.DamagedCount);
            using var interrupted = new CancellationTokenSource();
            time.Asked = () =>
            {
                if (replica.Volume.Metadata.Committed >= shipment.Entries[^1].Lsn)
                    interrupted.Cancel();
            };
            try
            {
                receiver.ApplyAsync(shipment, interrupted.Token).AsTask().GetAwaiter().GetResult();
            }
            catch (OperationCanceledException)
            {
                // As the link sees it.
            }
            time.Asked = null;
            wasInterrupted = interrupted.IsCancellationRequested;
            throw new IOException("the link was cut");
        };
        replica.Link.Target = receiver;
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        Assert.True(wasInterrupted);
        Assert.Equal(0, replica.Volume.ReplicaBlocks.DamagedCount);
    }

    /// <summary>The rows that come with the copy say that every block is here: those of before, which know better, go.</summary>
    [Theory, InlineData(1), InlineData(ReplicationLimits.DamagedPerReply + 44)]
    public async Task What_is_found_damaged_while_a_full_copy_is_taken_is_had_again(int blocks)
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteFileAsync(master, "a", 1, blocks);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        await master.Copy.Replication.DetachAsync(replica.Name);
        await WriteFileAsync(master, "b", 2, 1);
        await master.Copy.CloseAsync();
        using (var database = Database.Open(Path.Combine(master.Folder, "meta.db"), 1024))
            database.Execute("DELETE FROM journal");
        await master.ReopenAsync();
        int asked = 0;
        replica.Link.EndingCopy = () =>
        {
            asked++;
            foreach (var hash in Pattern(1, blocks * S).Chunk(S).Select(b => BlockHash.Of(b)))
            {
                File.Delete(FileOf(replica, hash));
                replica.Volume.ReplicaBlocks.NoteDamaged(hash, BlockReadResult.Missing);
            }
        };
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        Assert.Equal(1, asked);
        Assert.DoesNotContain(Pattern(1, blocks * S).Chunk(S), b => !File.Exists(FileOf(replica, BlockHash.Of(b))));
        Assert.Equal(0, replica.Volume.ReplicaBlocks.DamagedCount);
        Assert.Equal((blocks + 1L, 0L), await replica.VerifyAsync());
    }

    /// <summary>The two halves of a sender ask side by side.</summary>
    [Theory, InlineData(1), InlineData(ReplicationLimits.DamagedPerReply + 44)]
    public async Task An_answer_that_comes_late_takes_nothing_back_of_a_newer_one(int blocks)
    {
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteFileAsync(master, "a", 1, blocks);
        await WriteFileAsync(master, "whole", 2, 1);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);

        // One half waits for rows to be applied.
        using var apply = new ManualResetEventSlim();
        var applying = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        replica.Link.Applying = shipment =>
        {
            applying.TrySetResult();
            apply.Wait();
            return shipment;
        };
        await WriteFileAsync(master, "b", 3, 1);
        Assert.True((await master.Volume.SyncAllAsync(Cancellation)).IsOk);
        await applying.Task.WaitAsync(TimeSpan.FromSeconds(60), Cancellation);
        // The other asks how the replica is: the answer is on its way while that changes.
        var mending = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        replica.Link.Gate = mending.Task;
        var asked = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var late = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        var next = new TaskCompletionSource<(int Damaged, long Copies)>(TaskCreationOptions.RunContinuationsAsynchronously);
        var whole = await master.FindAsync("whole");
        replica.Link.Pulsed = () =>
        {
            if (late.Task.IsCompleted)
                next.TrySetResult((Known(), master.Copy.Why(whole).Value.Copies));
            return asked.TrySetResult() ? late.Task : Task.CompletedTask;
        };
        await asked.Task.WaitAsync(TimeSpan.FromSeconds(60), Cancellation);
        foreach (var hash in Pattern(1, blocks * S).Chunk(S).Select(b => BlockHash.Of(b)))
        {
            File.Delete(FileOf(replica, hash));
            replica.Volume.ReplicaBlocks.NoteDamaged(hash, BlockReadResult.Missing);
        }
        apply.Set();
        int told = Math.Min(blocks, ReplicationLimits.DamagedPerReply);
        await EventuallyAsync(() => Known() >= told);
        late.SetResult();
        var known = await next.Task.WaitAsync(TimeSpan.FromSeconds(60), Cancellation);
        Assert.InRange(known.Damaged, told, blocks);
        // Where there are more than an answer tells of, it may be any.
        Assert.Equal(blocks == told ? 1 : 0, known.Copies);

        replica.Link.Gate = null;
        mending.SetResult();
        await DrainAsync(master);
        Assert.Equal(0, replica.Volume.ReplicaBlocks.DamagedCount);

        int Known() => (int)master.Copy.Replication.Reports().Single().DamagedBlocks;
    }

    private static string FileOf(ReplicaFixture replica, BlockHash hash) => Path.Combine(replica.Folder, "blocks", hash.ToString()[..2], hash.ToString());

    /// <summary>An epoch that has begun cannot be taken back: a copy that has begun it and is no master leaves the volume without one.</summary>
    [Fact]
    public async Task A_promotion_that_is_cancelled_when_its_epoch_has_begun_goes_on()
    {
        var time = new InterruptingTime();
        await using var master = await VolumeFixture.CreateAsync(S);
        await using var replica = await ReplicaFixture.CreateAsync(time: time);
        await WriteFileAsync(master, "a", 1, 2);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        await master.Copy.Replication.DetachAsync(replica.Name);
        using var interrupted = new CancellationTokenSource();
        time.Asked = () =>
        {
            if (replica.Volume.Epoch == new Epoch(2))
                interrupted.Cancel();
        };
        Assert.Equal(new Epoch(2), await replica.Receiver.PromoteAsync(new Dictionary<CopyName, IReplicaLink>(), force: false, interrupted.Token));
        Assert.True(interrupted.IsCancellationRequested);
        Assert.Equal(VolumeRole.Master, replica.Volume.Role);
    }

    /// <summary>As one that waits for a disk that answers no more.</summary>
    [Theory, InlineData(false), InlineData(true)]
    public async Task A_sender_that_does_not_end_keeps_nothing_from_being_brought_to_disk(bool isAttachedAgain)
    {
        var time = new HurryingTime();
        await using var master = await VolumeFixture.CreateAsync(S, time: time);
        await using var replica = await ReplicaFixture.CreateAsync();
        await WriteFileAsync(master, "before", 1, 2);
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        await DrainAsync(master);
        using var end = new ManualResetEventSlim();
        var stands = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        replica.Link.Applying = shipment =>
        {
            stands.TrySetResult();
            end.Wait();
            return shipment;
        };
        await WriteFileAsync(master, "sent", 2, 2);
        Assert.True((await master.Volume.SyncAllAsync(Cancellation)).IsOk);
        await stands.Task.WaitAsync(TimeSpan.FromSeconds(60), Cancellation);
        string? killed = null;
        try
        {
            if (isAttachedAgain)
            {
                time.Hurried = ReplicationLimits.StopTimeout;
                await master.Copy.Replication.AttachAsync(replica.Name, new TestLink(replica.Receiver));
                time.Hurried = null;
                await DrainAsync(master);
            }
            await WriteFileAsync(master, "in flight", 3, 2);
            time.Hurried = ReplicationLimits.StopTimeout;
            await master.Copy.CloseAsync();
            killed = master.CopyAsKilled();
            await using var again = await VolumeFixture.CreateAsync(S, killed);
            Assert.Equal(Pattern(3, 2 * S), await again.ReadAllAsync(await again.FindAsync("in flight")));
        }
        finally
        {
            end.Set();
            if (killed is not null)
                Directory.Delete(killed, recursive: true);
        }
    }

    /// <summary>The system's time. Waits of one length are over at once.</summary>
    private sealed class HurryingTime : TimeProvider
    {
        public TimeSpan? Hurried { get; set; }

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period) =>
            base.CreateTimer(callback, state, dueTime == Hurried ? TimeSpan.Zero : dueTime, period);
    }

    /// <summary>The system's time. Who asks for it can be made to be interrupted there.</summary>
    private sealed class InterruptingTime : TimeProvider
    {
        public Action? Asked { get; set; }

        public override DateTimeOffset GetUtcNow()
        {
            Asked?.Invoke();
            return TimeProvider.System.GetUtcNow();
        }
    }
}
