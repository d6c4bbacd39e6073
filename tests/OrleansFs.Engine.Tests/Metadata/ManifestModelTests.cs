using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

/// <summary>Content commits at random against arrays of hashes that know nothing of segments.</summary>
public sealed class ManifestModelTests
{
    private const int S = TestVolume.BlockSize;
    private const int Blocks = 1500;
    private const int Files = 3;

    [Fact]
    public void Manifests_and_reference_counts_agree_with_arrays()
    {
        int seed = Environment.TickCount;
        var random = new Random(seed);
        using var volume = new TestVolume();
        var model = new BlockHash[Files][];
        var inodes = new InodeNumber[Files];
        for (int f = 0; f < Files; f++)
        {
            model[f] = new BlockHash[Blocks];
            inodes[f] = volume.Store.Create(InodeNumber.Root, $"f{f}").Inode;
        }
        for (int step = 0; step < 1500; step++)
        {
            int f = random.Next(Files);
            Change(volume.Store, inodes[f], model[f], random);
            Read(volume.Store, inodes[f], model[f], random, $"seed {seed} step {step}");
            if (random.Next(10) == 0)
                volume.Commit();
            if (random.Next(100) == 0)
            {
                volume.Commit();
                volume.Reopen();
            }
            if (step % 100 == 99)
                Count(volume.Store, inodes, model, $"seed {seed} step {step}");
        }
        volume.Commit();
        Assert.Empty(volume.Store.Check(null, CancellationToken.None));
    }

    private static void Change(MetadataStore store, InodeNumber number, BlockHash[] model, Random random)
    {
        long? truncate = random.Next(6) == 0 ? random.Next(Blocks) : null;
        var punched = Enumerable.Range(0, random.Next(3)).Select(_ => (First: (long)random.Next(Blocks), Count: (long)random.Next(random.Next(Blocks)))).ToList();
        int first = random.Next(Blocks);
        var blocks = new List<ManifestBlock>();
        // Whole segments of whole blocks too.
        bool isDense = random.Next(3) == 0;
        int length = isDense ? 600 : random.Next(400);
        for (int i = first; i < Math.Min(Blocks, first + length); i += isDense ? 1 : random.Next(1, 4))
        {
            byte content = isDense ? (byte)random.Next(100, 200) : (byte)random.Next(200);
            var hash = content < 20 ? BlockHash.Hole : BlockHash.Of([content]);
            blocks.Add(new ManifestBlock(i, hash, content < 100 ? S - content : S, content, 100, random.Next(3)));
        }
        if (truncate is { } end)
            model.AsSpan((int)end).Clear();
        foreach (var (from, count) in punched)
            model.AsSpan((int)from, (int)Math.Min(count, Blocks - from)).Clear();
        foreach (var block in blocks)
            model[block.Index] = block.Hash;
        var inode = store.Acquire(number)!;
        var detached = new List<InodeNumber>();
        store.Detached = detached.Add;
        Assert.True(store.CommitContent(inode, new ContentCommit { Size = (long)Blocks * S, ModifyTime = default, TruncateToBlocks = truncate, Punched = punched, Blocks = blocks }).IsOk);
        store.Release(inode);
        // What was too much for one mutation counts until it is purged.
        foreach (var orphan in detached)
        {
            while (!store.PurgeStep(orphan, 1))
            {
            }
        }
    }

    private static void Read(MetadataStore store, InodeNumber inode, BlockHash[] model, Random random, string when)
    {
        int from = random.Next(Blocks + 300);
        var hashes = new BlockHash[random.Next(700)];
        store.ReadManifest(inode, from, hashes);
        for (int i = 0; i < hashes.Length; i++)
            Assert.True(hashes[i] == (from + i < Blocks ? model[from + i] : BlockHash.Hole), $"{when}: block {from + i}");
        int mapped = Array.FindIndex(model, Math.Min(from, Blocks), h => !h.IsHole);
        Assert.True(store.NextMapped(inode, from) == (mapped < 0 ? null : mapped), $"{when}: data from {from}");
        int hole = from >= Blocks ? from : Array.FindIndex(model, from, h => h.IsHole);
        Assert.True(store.NextUnmapped(inode, from) == (hole < 0 ? Blocks : hole), $"{when}: hole from {from}");
    }

    private static void Count(MetadataStore store, InodeNumber[] inodes, BlockHash[][] model, string when)
    {
        var uses = model.SelectMany(m => m).Where(h => !h.IsHole).GroupBy(h => h).ToDictionary(g => g.Key, g => (long)g.Count());
        var rows = store.EnumerateBlocks().ToDictionary(r => r.Hash);
        Assert.True(rows.Values.All(r => r.References == uses.GetValueOrDefault(r.Hash)) && uses.Keys.All(rows.ContainsKey), when);
        Assert.Equal(rows.Values.Sum(r => r.References * r.Length), store.Counters.ReferencedBytes);
        Assert.Equal(rows.Values.Where(r => r.References > 0).Sum(r => r.Length), store.Counters.UniqueBytes);
        Assert.Equal(rows.Values.Count(r => r.References == 0), store.Counters.DeadBlocks);
        for (int f = 0; f < inodes.Length; f++)
        {
            var inode = store.Acquire(inodes[f])!;
            Assert.Equal(model[f].Where(h => !h.IsHole).Sum(h => rows[h].Length), inode.Committed.AllocatedBytes);
            store.Release(inode);
        }
    }
}
