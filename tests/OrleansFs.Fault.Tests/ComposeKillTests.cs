using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Fault.Tests.Work;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>SIGKILL of a master, of its replica, and of both, while the master keeps new blocks as pieces of others, puts them back into files, gives them up and collects them, and while the replica builds blocks out of what it has.</summary>
public sealed class ComposeKillTests
{
    private const int UsualRounds = 9;

    /// <summary>After so many rounds, and the last, the replica is to show what the master shows.</summary>
    private const int CompareEvery = 3;

    private static readonly Assignment[] s_work = [new("versions", "some", 1), new("versions", "others", 2), new("pages", "in-place", 3)];

    [Fact]
    public async Task Composed_and_built_blocks_survive_kills_of_the_master_and_of_the_replica()
    {
        Needs.Fuse();
        var random = Seed.Make();
        int rounds = Seed.Rounds(UsualRounds);
        await using var scratch = await Scratch.MakeAsync();
        await using var pool = new WorkerPool();
        await using var cluster = new TestCluster(scratch) { MasterOptions = ["--compose", "auto", "--cache-size", "12MiB", "--fetch-timeout", "2min", "--cache-wait", "2min"] };
        await cluster.StartMasterAsync();
        await cluster.StartReplicaAsync("nas");
        foreach (var work in s_work)
            Directory.CreateDirectory(Path.Combine(cluster.MasterMount, work.Folder));
        await Report.DrainAsync(cluster.MasterMount, 1);
        await cluster.StartReaderAsync("nas");
        var test = new ComposeKills(scratch, cluster, pool, random);
        for (int round = 0; round < rounds; round++)
            await test.RunAsync(round, isCompared: (round + 1) % CompareEvery == 0 || round + 1 == rounds);
        Seed.Say($"{rounds} rounds: {test.MasterKills} kills of the master, of which {test.MetComposing} in a life that composed or flattened and {test.MetHalfway} with blocks between a file and pieces of others; "
            + $"{test.ReplicaKills} of the replica, of which {test.MetBuilding} in a life that built and composed; {test.Halfway} blocks were halfway, {test.Unacknowledged} not acknowledged, {test.GivenUp} given up");
        await cluster.StopWellAsync();
        await cluster.ExpectCleanAsync("master", "nas");
        Assert.True(test.MetComposing > test.MasterKills / 2, "most kills of the master met no composing: this run proves nothing");
        Assert.True(test.MetBuilding > test.ReplicaKills / 2, "most kills of the replica met no blocks that were built: this run proves nothing");
    }

    private sealed class ComposeKills(Scratch scratch, TestCluster cluster, WorkerPool pool, Random random)
    {
        private readonly string _logs = scratch.Folder("logs");
        private readonly Dictionary<string, WorkRecord> _lasting = [];
        private readonly Dictionary<string, IReadOnlySet<string>> _composed = [];

        public int MasterKills { get; private set; }

        public int MetComposing { get; private set; }

        public int MetHalfway { get; private set; }

        public int Halfway { get; private set; }

        public int ReplicaKills { get; private set; }

        public int MetBuilding { get; private set; }

        public int Unacknowledged { get; private set; }

        public int GivenUp { get; private set; }

        public async Task RunAsync(int number, bool isCompared)
        {
            var round = await pool.StartAsync(s_work, cluster.MasterMount, _logs, random.Next(), clock: null);
            bool killsMaster = random.Next(3) > 0, killsReplica = !killsMaster || random.Next(3) == 0;
            var asked = AskAsync(random.Next(2) == 0 ? "gc" : "evict", TimeSpan.FromMilliseconds(random.Next(2000)));
            // New blocks are composed a second after they were made, on the replica at once; half of the kills come in that moment, the others at any after it.
            using (var composing = new ComposedNow(cluster.Folder(killsMaster ? "master" : "nas")))
                await Usable.UntilAsync(() => composing.HasChanged, Limits.Command, "blocks are composed");
            await Task.Delay(random.Next(random.Next(2) == 0 ? 10 : 800), TestContext.Current.CancellationToken);
            Assert.Empty(pool.Failures);
            await Task.WhenAll(killsMaster ? cluster.KillMasterAsync() : Task.CompletedTask, killsReplica ? cluster.KillReplicaAsync("nas") : Task.CompletedTask);
            Note(killsMaster, killsReplica);
            if (killsMaster)
                await pool.EndAsync(tell: false);
            Seed.Say($"round {number}: killed {(killsMaster ? killsReplica ? "both" : "the master" : "the replica")} after {round.Steps} steps; so far {MetComposing} met composing, {Halfway} blocks were halfway, {Unacknowledged} unacknowledged");
            await Task.WhenAll(killsMaster ? cluster.ExpectCleanAsync("master") : Task.CompletedTask, killsReplica ? cluster.ExpectCleanAsync("nas") : Task.CompletedTask);
            await Task.WhenAll(killsMaster ? cluster.StartMasterAsync() : Task.CompletedTask, killsReplica ? cluster.StartReplicaAsync("nas") : Task.CompletedTask);
            // Without the replica a rename over a file may wait for room, with its folder locked, and who walks the tree waits for it.
            await asked;
            // With the master there, and room in its cache again, they end between two steps.
            if (!killsMaster)
                Assert.Empty(await pool.EndAsync(tell: true));
            foreach (var work in round.Works.Where(w => w.HasBegun))
                _lasting[work.Assignment.Folder] = work;
            var verdict = await new Round([.. _lasting.Values]).VerifyAsync(cluster.MasterMount, long.MaxValue);
            Assert.True(verdict.Violations.Count == 0, $"after kill {number}: {string.Join('\n', verdict.Violations)}");
            if (!isCompared)
                return;
            await Report.DrainAsync(cluster.MasterMount, 1);
            await cluster.ExpectEqualAsync();
            Seed.Say("master and replica are equal");
        }

        /// <summary>Collects what nothing refers to, or gives up what the replica has, beside everything else; a kill may cut it short.</summary>
        private async Task AskAsync(string command, TimeSpan after)
        {
            await Task.Delay(after, TestContext.Current.CancellationToken);
            await Tool.TryRunAsync(Programs.OrleansFs, Limits.Command, command, cluster.MasterMount);
        }

        /// <summary>What the kills have met.</summary>
        private void Note(bool killsMaster, bool killsReplica)
        {
            if (killsMaster)
            {
                var now = LookAt("master", out bool hasComposed);
                MasterKills++;
                MetComposing += hasComposed ? 1 : 0;
                MetHalfway += now.Halfway > 0 ? 1 : 0;
                GivenUp += now.Absent;
            }
            if (killsReplica)
            {
                var now = LookAt("nas", out bool hasComposed);
                ReplicaKills++;
                MetBuilding += hasComposed || now.WithoutRow > 0 ? 1 : 0;
                Unacknowledged += now.WithoutRow;
            }
        }

        private BlocksAtRest LookAt(string copy, out bool hasComposed)
        {
            var now = BlocksAtRest.Of(cluster.Folder(copy), scratch);
            hasComposed = !now.Composed.SetEquals(_composed.GetValueOrDefault(copy, new HashSet<string>()));
            _composed[copy] = now.Composed;
            Halfway += now.Halfway;
            return now;
        }
    }
}
