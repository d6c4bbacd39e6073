using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>Whose locks of one kind on a file.</summary>
internal readonly record struct LockOwner(InodeNumber Inode, ulong Owner, bool WholeFile);

/// <summary>The order in which the lock requests of one owner for one file go to the copy. Thread-safe.</summary>
internal sealed class LockTurns
{
    private readonly Lock _lock = new();
    private readonly Dictionary<LockOwner, Owner> _owners = [];

    /// <summary>A turn behind those that were taken before. It has to be ended, also where nobody waited until it came.</summary>
    public Turn Take(LockOwner name)
    {
        lock (_lock)
        {
            if (!_owners.TryGetValue(name, out var owner))
                _owners.Add(name, owner = new Owner());
            foreach (var watch in owner.Watches)
                watch.IsCrossed = true;
            var turn = new Turn(this, name, owner.Last);
            owner.Last = turn.Done;
            owner.Turns++;
            return turn;
        }
    }

    /// <summary>Watches, while no turn is taken, whether one is from now on.</summary>
    /// <param name="name">Whose.</param>
    /// <param name="busy">Otherwise completes when those are over that are taken now.</param>
    public Watch? TryWatch(LockOwner name, out Task busy)
    {
        lock (_lock)
        {
            if (!_owners.TryGetValue(name, out var owner))
                _owners.Add(name, owner = new Owner());
            busy = owner.Last;
            if (owner.Turns > 0)
                return null;
            var watch = new Watch(this, name) { IsCrossed = owner.Watches.Count > 0 };
            // Two that wait at the same time do not know of each other who came first.
            foreach (var other in owner.Watches)
                other.IsCrossed = true;
            owner.Watches.Add(watch);
            return watch;
        }
    }

    /// <summary>Completes when all turns that are taken now are over.</summary>
    public Task AllAsync()
    {
        lock (_lock)
            return Task.WhenAll(_owners.Values.Select(o => o.Last));
    }

    private void Leave(LockOwner name, Action<Owner> change)
    {
        lock (_lock)
        {
            var owner = _owners[name];
            change(owner);
            if (owner is { Turns: 0, Watches.Count: 0 })
                _owners.Remove(name);
        }
    }

    /// <summary>One turn.</summary>
    public sealed class Turn(LockTurns turns, LockOwner name, Task before)
    {
        private readonly TaskCompletionSource _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

        /// <summary>Completes when it has come.</summary>
        public Task Before => before;

        public Task Done => _done.Task;

        /// <summary>Ends it, at once or when it has come.</summary>
        public void End()
        {
            if (before.IsCompleted)
                Over();
            else
                _ = before.ContinueWith(_ => Over(), CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        }

        private void Over()
        {
            turns.Leave(name, o => o.Turns--);
            _done.SetResult();
        }
    }

    /// <summary>Somebody who waits for a lock and has no turn.</summary>
    public sealed class Watch(LockTurns turns, LockOwner name) : IDisposable
    {
        /// <summary>Somebody else of the owner has asked for something since.</summary>
        public bool IsCrossed { get; set; }

        /// <summary>Does something before anybody takes a turn, where nobody has yet.</summary>
        public void TryDo(Action then)
        {
            lock (turns._lock)
            {
                if (!IsCrossed)
                    then();
            }
        }

        public void Dispose() => turns.Leave(name, o => o.Watches.Remove(this));
    }

    private sealed class Owner
    {
        public Task Last { get; set; } = Task.CompletedTask;

        public int Turns { get; set; }

        public List<Watch> Watches { get; } = [];
    }
}
