using System.Collections.Concurrent;
using OrleansFs.Fuse;

namespace OrleansFs.Mount;

/// <summary>How long the kernel keeps names, and the knowledge that there is none of a name, on a mount that is told what others change. Thread-safe.</summary>
/// <remarks>
/// Names are not taken back by notifications: NOTIFY_INVAL_ENTRY waits for the lock of the directory, which a program may hold that waits for the answer to a change, and that change for us; NOTIFY_INC_EPOCH (7.44) is
/// not there with kernels before 6.16, and voids every name of the mount. So names are given for a short time, and whoever takes a directory back waits until that is over.
/// Invariants:
/// 1. A name is given only where no recall has begun between the asking of the volume and the note that it is given. So a recall finds the note, or the name is not given.
/// 2. A recall of a directory ends <see cref="Limits.NamesHeld"/> and <see cref="Limits.NamesGrace"/> after the last name in it was given.
/// 3. Where others change names in directories that are looked at here, none are given for <see cref="Limits.NamesPause"/>: so seldom does a change wait at most.
/// </remarks>
internal sealed class HeldNames(TimeProvider time)
{
    /// <summary>When names were given last, by directory; 0 where none were. A directory is here for as long as the kernel knows it.</summary>
    private readonly ConcurrentDictionary<NodeId, long> _given = new();

    private long _recalls;
    private long _pausedUntil = long.MinValue;

    /// <summary>The moment before the volume is asked, for <see cref="Give"/>.</summary>
    public long Begin() => Volatile.Read(ref _recalls);

    /// <summary>A name of a directory is about to be answered.</summary>
    /// <param name="directory">The directory.</param>
    /// <param name="begun">When the volume was asked.</param>
    /// <param name="holds">How long it would be told of changes of the directory.</param>
    /// <returns>How long the kernel may keep it.</returns>
    public TimeSpan Give(NodeId directory, long begun, TimeSpan holds)
    {
        long now = time.GetTimestamp();
        if (holds < Limits.NamesHeld || now < Volatile.Read(ref _pausedUntil))
        {
            _given.TryAdd(directory, 0);
            return TimeSpan.Zero;
        }
        // Not with each name: a part of the grace is for that.
        if (!_given.TryGetValue(directory, out long given) || time.GetElapsedTime(given, now) > Limits.NamesNoted)
            _given[directory] = now;
        Interlocked.MemoryBarrier();
        return Volatile.Read(ref _recalls) == begun ? Limits.NamesHeld : TimeSpan.Zero;
    }

    /// <summary>The kernel moves a name to a directory, with what is left of its time.</summary>
    public void Move(NodeId directory) => _given[directory] = time.GetTimestamp();

    /// <summary>The kernel does not know the directory any more, and so no name in it.</summary>
    public void Forget(NodeId directory) => _given.TryRemove(directory, out _);

    /// <summary>Nothing that the volume was asked before now is given.</summary>
    public void Void() => Interlocked.Increment(ref _recalls);

    /// <summary>A node is taken back, a directory perhaps; <see cref="Void"/> comes before.</summary>
    /// <param name="node">The node.</param>
    /// <param name="isChanged">Whether others have changed it.</param>
    /// <returns>How long it is until the kernel keeps no name of them.</returns>
    public TimeSpan Recall(NodeId node, bool isChanged)
    {
        if (!_given.TryGetValue(node, out long given))
            return TimeSpan.Zero;
        if (isChanged)
            Volatile.Write(ref _pausedUntil, time.GetTimestamp() + (long)(Limits.NamesPause.TotalSeconds * time.TimestampFrequency));
        var rest = given == 0 ? TimeSpan.Zero : Limits.NamesHeld + Limits.NamesGrace - time.GetElapsedTime(given);
        return rest > TimeSpan.Zero ? rest : TimeSpan.Zero;
    }
}
