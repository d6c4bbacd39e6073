using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Fault.Tests.Work;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>
/// SIGKILL of a master that is smaller than its volume, of its replicas and of a mount over the network, one at a time, at random moments under load, again and again on the same volume.
/// </summary>
/// <remarks>
/// A round: programs work on both mounts until so many steps are done, somebody is killed, what programs had been told is verified, and it is started again; the folder of a master is checked before that (fsck, with
/// every block). Only what was touched since the kill before is read then: the rest is at the latest when the copies are compared. A replica that is checked after a kill may lack blocks that only the other had while
/// that was away: it is at the end, when all is drained. A replica comes back while the next round is under way. Every fifteen rounds all is drained, everything is read and compared with what the programs did, and the
/// four mounts (the master's, the one over the network, one of each replica) show the same.
/// </remarks>
public sealed class ClusterKillTests
{
    private const int UsualRounds = 30;

    /// <summary>After so many rounds the copies are compared.</summary>
    private const int ComparedEvery = 15;

    private static readonly string[] s_victims = [.. Enumerable.Repeat("master", 4), .. Enumerable.Repeat("nas", 5), .. Enumerable.Repeat("usb", 4)];

    private static readonly Assignment[] s_onMaster = [new("library", "library", 1), new("names-synced", "names", 0), new("pages", "pages", 2), new("sqlite-wal", "wal", 0)];

    private static readonly Assignment[] s_onClient = [new("library-in-place", "far", 3)];

    [Fact]
    public async Task Whoever_is_killed_the_copies_become_equal_and_nothing_that_was_synced_is_missing()
    {
        Needs.Fuse();
        var random = Seed.Make();
        int rounds = Seed.Rounds(UsualRounds);
        await using var scratch = await Scratch.MakeAsync();
        await using var test = new Rounds(new TestCluster(scratch) { IsExpected = IsSentAgain }, scratch, random);
        await test.StartAsync();
        int round = 0;
        while (true)
        {
            foreach (string victim in Plan(random).Take(rounds - round))
            {
                round++;
                await test.RunAsync(victim);
            }
            await test.CompareAsync();
            if (round == rounds)
                break;
            await test.GoOnAsync();
        }
        await test.EndAsync();
        Seed.Say($"{rounds} kills ({string.Join(", ", test.Kills.Select(k => $"{k.Key} {k.Value}"))}): {test.UnderLoad} with steps in flight, {test.WhileEvicting} while blocks were being evicted; "
            + $"{test.Evicted} blocks evicted, {test.Fetched} fetched, {test.Steps} steps");
        Assert.True(test.UnderLoad > rounds * 3 / 4, $"only {test.UnderLoad} of {rounds} kills interrupted anything: this run proves nothing");
        Assert.True(test.WhileEvicting > rounds / 2, $"only {test.WhileEvicting} of {rounds} kills came while blocks were evicted: this run proves nothing");
        Assert.True(test.Fetched > 0, "nothing that was evicted was ever read: this run proves nothing");
    }

    /// <summary>
    /// Who is killed in the next rounds. The mount is killed after the masters, mostly: a master that is started while the lease of a killed mount runs waits ten seconds for that mount.
    /// </summary>
    private static List<string> Plan(Random random)
    {
        string[] victims = [.. s_victims];
        random.Shuffle(victims);
        var plan = victims.ToList();
        plan.Insert(random.Next(4) == 0 ? random.Next(plan.Count) : random.Next(plan.LastIndexOf("master") + 1, plan.Count + 1), "client");
        plan.Add("client");
        Assert.Equal(ComparedEvery, plan.Count);
        return plan;
    }

    /// <summary>A replica that comes back while the other one is away is given rows of blocks that only that one has, and says so until it is sent them.</summary>
    private static bool IsSentAgain(string line) => line.Contains("is damaged and will be had from another copy", StringComparison.Ordinal);

    private sealed class Rounds(TestCluster cluster, Scratch scratch, Random random) : IAsyncDisposable
    {
        private readonly Workers _onMaster = new(s_onMaster, cluster.MasterMount, scratch.Folder("logs-master"), random);
        private readonly Workers _onClient = new(s_onClient, cluster.ClientMount, scratch.Folder("logs-client"), random);

        /// <summary>Replicas that are being started.</summary>
        private readonly Dictionary<string, Task> _starting = [];

        /// <summary>What this life of the master had evicted and fetched when it was last asked.</summary>
        private (long Evicted, long Fetched) _seen;

        public Dictionary<string, int> Kills { get; } = [];

        public int UnderLoad { get; private set; }

        public int WhileEvicting { get; private set; }

        public long Evicted { get; private set; }

        public long Fetched { get; private set; }

        public int Steps => _onMaster.Steps + _onClient.Steps;

        public async Task StartAsync()
        {
            await cluster.StartAsync(random.Next(2) == 0 ? "on" : "off");
            await Report.DrainAsync(cluster.MasterMount, 2);
            await cluster.StartReadersAsync();
            await GoOnAsync();
            while ((await Report.StatusAsync(cluster.MasterMount)).Number("evictedBlocks") == 0)
                await UntilAsync(30);
        }

        public async Task RunAsync(string victim)
        {
            await UntilAsync(random.Next(1, 40));
            var status = await Report.StatusAsync(cluster.MasterMount);
            var now = (Evicted: status.Number("evictedBlocks"), Fetched: status.Number("fetchedBlocks"));
            var (evicted, fetched) = (now.Evicted - _seen.Evicted, now.Fetched - _seen.Fetched);
            _seen = now;
            (Evicted, Fetched) = (Evicted + evicted, Fetched + fetched);
            Seed.Say($"{victim}: {evicted} blocks evicted, {fetched} fetched; {status.Number("localBytes") >> 10} KiB here, {status.Number("storedBytes") >> 10} KiB in all, {status.Number("notBackedUpBytes") >> 10} KiB not backed up");
            Kills[victim] = Kills.GetValueOrDefault(victim) + 1;
            WhileEvicting += evicted > 0 ? 1 : 0;
            int inFlight = await KillAsync(victim);
            UnderLoad += inFlight > 0 ? 1 : 0;
        }

        /// <summary>Everything is on all copies, and they are the same.</summary>
        public async Task CompareAsync()
        {
            await RestAsync();
            await cluster.ExpectEqualAsync();
            await Task.WhenAll(_onMaster.VerifyAsync(includesUntouched: true), _onClient.VerifyAsync(includesUntouched: true));
            Seed.Say("equal");
        }

        public async Task EndAsync()
        {
            await cluster.StopWellAsync();
            await cluster.ExpectCleanAsync("master", "nas", "usb");
        }

        public async ValueTask DisposeAsync()
        {
            await Task.WhenAll(_starting.Values).ContinueWith(_ => { }, CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
            await cluster.DisposeAsync();
            await _onMaster.DisposeAsync();
            await _onClient.DisposeAsync();
        }

        public async Task GoOnAsync()
        {
            await _onMaster.GoOnAsync();
            await _onClient.GoOnAsync();
        }

        private async Task RestAsync()
        {
            await Task.WhenAll([_onMaster.StopAsync(), _onClient.StopAsync(), .. _starting.Values]);
            await Report.DrainAsync(cluster.MasterMount, 2);
        }

        /// <summary>So many more steps are done on both mounts, and none has failed.</summary>
        private async Task UntilAsync(int steps)
        {
            var (master, client) = (_onMaster.StepsOfRound + steps, _onClient.StepsOfRound + (steps / 6));
            await Usable.UntilAsync(
                () => (_onMaster.StepsOfRound >= master && _onClient.StepsOfRound >= client) || _onMaster.Failures.Count + _onClient.Failures.Count > 0,
                Limits.Command,
                "the programs get on",
                () => $"{_onMaster.StepsOfRound} of {master} steps on the master's mount, {_onClient.StepsOfRound} of {client} over the network; {cluster.Said()}",
                Limits.DearLook / 4);
            string[] failures = [.. _onMaster.Failures, .. _onClient.Failures];
            Assert.True(failures.Length == 0, $"{string.Join('\n', failures)}\n{cluster.Said()}");
        }

        /// <returns>Steps that were cut short, or that went on all the same.</returns>
        private async Task<int> KillAsync(string victim)
        {
            switch (victim)
            {
                case "master":
                    await cluster.KillMasterAsync();
                    _seen = default;
                    int inFlight = await _onMaster.EndAsync();
                    await cluster.ExpectCleanAsync("master");
                    Seed.Say("clean");
                    await cluster.StartMasterAsync(random.Next(2) == 0 ? "on" : "off");
                    Seed.Say("back");
                    await _onMaster.VerifyAsync(includesUntouched: false);
                    await _onMaster.GoOnAsync();
                    return inFlight;
                case "client":
                    await cluster.KillClientAsync();
                    inFlight = await _onClient.EndAsync();
                    await cluster.StartClientAsync();
                    Seed.Say("back");
                    await _onClient.VerifyAsync(includesUntouched: false);
                    await _onClient.GoOnAsync();
                    return inFlight;
                default:
                    if (_starting.Remove(victim, out var starting))
                        await starting;
                    await cluster.KillReplicaAsync(victim);
                    inFlight = _onMaster.InFlight + _onClient.InFlight;
                    _starting[victim] = cluster.StartReplicaAsync(victim);
                    return inFlight;
            }
        }
    }

    /// <summary>The workers of one mount. Their folders last for the whole test, but for names: those begin with nothing.</summary>
    private sealed class Workers(Assignment[] assignments, string mountPoint, string logs, Random random) : IAsyncDisposable
    {
        private readonly WorkerPool _pool = new();
        private readonly Dictionary<string, WorkRecord> _last = [];
        private Round? _round;
        private int _steps;
        private int _starts;

        public int Steps => _steps + StepsOfRound;

        /// <summary>Steps since <see cref="GoOnAsync"/>.</summary>
        public int StepsOfRound => _round?.Steps ?? 0;

        /// <summary>Workers in the middle of a step.</summary>
        public int InFlight => _round?.InFlightAt(0) ?? 0;

        public IReadOnlyList<string> Failures => _pool.Failures;

        public async Task GoOnAsync()
        {
            _starts++;
            Assignment[] now = [.. assignments.Select(a => a.Kind == "names-synced" ? a with { Folder = $"{a.Folder}{_starts}" } : a)];
            foreach (var assignment in now)
                Directory.CreateDirectory(Path.Combine(mountPoint, assignment.Folder));
            _round = await _pool.StartAsync(now, mountPoint, logs, random.Next(), clock: null, a => _last.GetValueOrDefault(a.Folder));
        }

        /// <summary>Tells them to stop between two steps.</summary>
        public async Task StopAsync()
        {
            Assert.Empty(await _pool.EndAsync(tell: true, Limits.Told));
            Remember();
        }

        /// <summary>Waits until they have seen that their mount is gone.</summary>
        /// <returns>Steps that were cut short.</returns>
        public async Task<int> EndAsync()
        {
            var outcomes = await _pool.EndAsync(tell: false);
            // What was read wrong is said by an exception of its own.
            Assert.DoesNotContain(outcomes, o => o.StartsWith("InvalidData", StringComparison.Ordinal) || o.StartsWith("hung", StringComparison.Ordinal));
            int inFlight = InFlight;
            Remember();
            return inFlight;
        }

        public async Task VerifyAsync(bool includesUntouched)
        {
            var verdict = await new Round([.. _last.Values]).VerifyAsync(mountPoint, long.MaxValue, includesUntouched);
            verdict.ExpectNone();
        }

        public ValueTask DisposeAsync() => _pool.DisposeAsync();

        private void Remember()
        {
            if (_round is not { } round)
                return;
            // One that never got to look at what it found has changed nothing: what the one before it did still counts.
            foreach (var work in round.Works.Where(w => w.HasBegun))
                _last[work.Assignment.Folder] = work;
            _steps += round.Steps;
            _round = null;
        }
    }
}
