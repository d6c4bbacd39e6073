using CsCheck;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Sessions;

/// <summary>What a client remembers of locks and unlinked inodes.</summary>
public sealed class ClientStateTests
{
    private static readonly InodeNumber File = new(5);

    [Fact]
    public void Ranges_of_one_owner_replace_split_and_merge()
    {
        var locks = new HeldLocks();
        locks.Apply(File, Range(LockKind.Write, 0, 99));
        locks.Apply(File, Range(LockKind.Unlock, 40, 59));
        locks.Apply(File, Range(LockKind.Read, 90, 120));
        Assert.Equal([(LockKind.Write, 0, 39), (LockKind.Write, 60, 89), (LockKind.Read, 90, 120)], Ranges(locks));
        locks.Apply(File, Range(LockKind.Write, 40, 59));
        Assert.Equal([(LockKind.Write, 0, 89), (LockKind.Read, 90, 120)], Ranges(locks));
        locks.ReleaseOwner(File, 1);
        Assert.Empty(locks.All());
    }

    [Fact]
    public void Ranges_agree_with_a_table_of_bytes()
    {
        var change = Gen.Select(Gen.Int[0, 2], Gen.ULong[0, 30], Gen.ULong[0, 30]).Select((kind, a, b) => Range((LockKind)kind, Math.Min(a, b), Math.Max(a, b)));
        change.Array[0, 30].Sample(changes =>
        {
            var locks = new HeldLocks();
            var bytes = new LockKind[31];
            Array.Fill(bytes, LockKind.Unlock);
            foreach (var c in changes)
            {
                locks.Apply(File, c);
                Array.Fill(bytes, c.Kind, (int)c.Start, (int)(c.End - c.Start) + 1);
            }
            var seen = new LockKind[31];
            Array.Fill(seen, LockKind.Unlock);
            foreach (var (_, held) in locks.All())
                Array.Fill(seen, held.Kind, (int)held.Start, (int)(held.End - held.Start) + 1);
            return bytes.SequenceEqual(seen);
        });
    }

    [Fact]
    public void An_inode_is_given_up_when_the_mount_has_not_known_it_twice()
    {
        var orphans = new Orphans();
        var mount = new Holder();
        mount.Know(new(1));
        Assert.True(orphans.Ask([new(1), new(2)], mount));
        Assert.Empty(orphans.TakeForgotten(10));
        Assert.False(orphans.Ask([new(1), new(2)], mount));
        Assert.Equal([new InodeNumber(2)], orphans.TakeForgotten(10));
        mount.Lose(new(1));
        Assert.Equal(1, orphans.Forget(new(1)));
        Assert.Equal([new InodeNumber(1)], orphans.TakeForgotten(10));
    }

    [Fact]
    public void What_the_mount_forgets_matters_only_where_it_has_no_name()
    {
        var orphans = new Orphans();
        Assert.Equal(0, orphans.Forget(new(1)));
        orphans.Hold(new(2));
        Assert.Equal(1, orphans.Forget(new(2)));
    }

    [Fact]
    public void An_inode_that_the_mount_comes_to_know_between_two_questions_is_kept()
    {
        var orphans = new Orphans();
        var mount = new Holder();
        orphans.Ask([new(1)], mount);
        mount.Know(new(1));
        orphans.Ask([new(1)], mount);
        mount.Lose(new(1));
        orphans.Ask([new(1)], mount);
        Assert.Empty(orphans.TakeForgotten(10));
    }

    private static FileLock Range(LockKind kind, ulong start, ulong end) => new() { Kind = kind, Start = start, End = end, Owner = 1 };

    private static List<(LockKind Kind, int Start, int End)> Ranges(HeldLocks locks) => [.. locks.All().Select(l => (l.Lock.Kind, (int)l.Lock.Start, (int)l.Lock.End))];
}
