using OrleansFs.Fault.Tests.Device;
using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using OrleansFs.Fault.Tests.Work;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>SIGKILL of <c>orleansfs mount</c> at random moments under load, again and again on the same volume.</summary>
public sealed class KillTests
{
    private const int UsualRounds = 50;

    /// <summary>Rounds whose files are verified again after each later kill, and then deleted.</summary>
    private const int KeptRounds = 2;

    /// <summary>One round in so many is a long one.</summary>
    private const int LongEvery = 25;

    /// <summary>Each has its folder for the whole test and goes on with what the last kill left of its files.</summary>
    private static readonly Assignment[] s_lasting =
    [
        new("append", "lasting-append", 1),
        new("pages", "lasting-pages", 2),
        new("sectors", "lasting-sectors", 3),
        new("direct", "lasting-direct", 4),
        new("sqlite-wal", "lasting-wal", 0),
        new("sqlite-journal", "lasting-journal", 0),
    ];

    [Fact]
    public async Task A_killed_mount_comes_back_with_all_that_was_synced()
    {
        Needs.Fuse();
        var random = Seed.Make();
        int rounds = Seed.Rounds(UsualRounds);
        await using var scratch = await Scratch.MakeAsync();
        using var clock = Clock.Make(scratch.File("clock"));
        await using var pool = new WorkerPool();
        var test = new KillRounds(scratch, clock, pool, random);
        for (int round = 0; round < rounds; round++)
            await test.RunAsync(round);
        await test.EndAsync();

        Seed.Say($"{rounds} kills: {test.UnderLoad} with work in flight, {test.StepsInFlight} steps in flight, {test.LostSomething} lost unsynced work, {test.WhileOpening} while opening, {test.Steps} steps");
        Assert.True(test.UnderLoad > rounds / 2, $"only {test.UnderLoad} of {rounds} kills interrupted anything: this run proves nothing");
        Seed.Say($"{test.OverIoUring} mounts over io_uring, {test.OverDevice} over /dev/fuse");
        Assert.True(test.OverDevice > 0, "no mount was served over /dev/fuse");
        Assert.True(test.LostSomething > 0, "no kill cost anything that was unsynced: this run proves nothing");
    }

    private sealed class KillRounds(Scratch scratch, Clock clock, WorkerPool pool, Random random)
    {
        private readonly MountOptions _options = new() { Data = scratch.File("data"), MountPoint = scratch.Folder("mount") };
        private readonly string _logs = scratch.Folder("logs");
        private readonly Dictionary<string, WorkRecord> _lasting = [];
        private readonly Queue<Round> _fresh = new();
        private readonly List<string> _old = [];

        public int UnderLoad { get; private set; }

        public int StepsInFlight { get; private set; }

        public int LostSomething { get; private set; }

        public int WhileOpening { get; private set; }

        public int Steps { get; private set; }

        public int OverIoUring { get; private set; }

        public int OverDevice { get; private set; }

        public async Task RunAsync(int number)
        {
            if (number > 0 && random.Next(4) == 0 && await MountProcess.StartAndKillAsync(_options, TimeSpan.FromMilliseconds(random.Next(700))))
                WhileOpening++;
            clock.Set(0);
            await using var mounted = await MountProcess.StartAsync(_options with { IoUring = number % 2 == 0 ? "on" : "off" });
            OverIoUring += mounted.UsesIoUring ? 1 : 0;
            OverDevice += mounted.UsesIoUring ? 0 : 1;
            await VerifyAsync(number);
            DeleteOld();
            var assignments = Assignments(number);
            foreach (var assignment in assignments)
                Directory.CreateDirectory(Path.Combine(_options.MountPoint, assignment.Folder));
            var round = await pool.StartAsync(assignments, _options.MountPoint, _logs, random.Next(), clock.Path);
            // Now and then long enough for what is in flight to be settled for its age, which is some seconds.
            int work = number % LongEvery == LongEvery - 1 ? random.Next(5000, 8000) : random.Next(30, 500);
            await Task.Delay(TimeSpan.FromMilliseconds(work), TestContext.Current.CancellationToken);
            Assert.Empty(pool.Failures);
            clock.Set(1);
            await mounted.KillAsync();
            await pool.EndAsync(tell: false);
            Remember(round);
            Assert.Empty(mounted.Troubles);
            int inFlight = round.InFlightAt(0);
            UnderLoad += inFlight > 0 ? 1 : 0;
            StepsInFlight += inFlight;
            Steps += round.Steps;
            await Check.CleanAsync(_options.Data, verifyData: true);
        }

        /// <summary>After the last kill: mounted and unmounted in order, nothing is lost any more.</summary>
        public async Task EndAsync()
        {
            await using (var mounted = await MountProcess.StartAsync(_options))
            {
                await VerifyAsync(int.MaxValue);
                await mounted.StopWellAsync();
                Assert.Empty(mounted.Troubles);
            }
            await Check.CleanAsync(_options.Data, verifyData: true);
        }

        private async Task VerifyAsync(int number)
        {
            var all = new Round([.. _lasting.Values, .. _fresh.SelectMany(r => r.Works)]);
            var verdict = await all.VerifyAsync(_options.MountPoint, long.MaxValue);
            Assert.True(verdict.Violations.Count == 0, $"after kill {number}: {string.Join('\n', verdict.Violations)}");
            LostSomething += verdict.Lost > 0 ? 1 : 0;
        }

        /// <summary>Not synced, and cut short by the kill of this round like anything else.</summary>
        private void DeleteOld()
        {
            // One that was made and never synced may have gone with the kill.
            foreach (string folder in _old.Where(Directory.Exists))
                Directory.Delete(folder, recursive: true);
            _old.Clear();
        }

        private List<Assignment> Assignments(int number)
        {
            Assignment[] fresh =
            [
                new("replace", $"round{number}-replace", 5),
                new("replace", $"round{number}-replace-same", 5),
                new("names", $"round{number}-names", 0),
                new("mapped", $"round{number}-mapped", 6),
                new("append", $"round{number}-append", 1),
            ];
            Assignment[] all = [.. s_lasting, .. fresh];
            random.Shuffle(all);
            return [.. all.Take(random.Next(3, 7))];
        }

        private void Remember(Round round)
        {
            bool Lasts(WorkRecord work) => s_lasting.Contains(work.Assignment);
            // A worker that never got to look at what it found has changed nothing: what the one before it did still counts.
            foreach (var work in round.Works.Where(w => Lasts(w) && w.HasBegun))
                _lasting[work.Assignment.Folder] = work;
            _fresh.Enqueue(new Round([.. round.Works.Where(w => !Lasts(w))]));
            if (_fresh.Count > KeptRounds)
                _old.AddRange(_fresh.Dequeue().Works.Select(w => w.Path));
        }
    }
}
