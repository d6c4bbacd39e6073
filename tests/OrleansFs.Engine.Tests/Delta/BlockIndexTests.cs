using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Delta;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Delta;

/// <summary>Which blocks the index knows.</summary>
public sealed class BlockIndexTests
{
    private const int S = 4096;

    /// <summary>Otherwise it would be in neither: not in the tables, which are new, and not in the database when that is read.</summary>
    [Fact]
    public async Task What_was_not_committed_when_an_index_is_begun_is_in_it()
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        byte[] content = new byte[20 * S];
        new Random(1).NextBytes(content);
        var file = await volume.CreateFileAsync("f");
        await volume.WriteAsync(file, 0, content);
        var index = new BlockIndex(Path.Combine(volume.Folder, "meta.db"), S, async cancellation => await volume.Copy.SyncAllAsync(cancellation));
        var tables = await index.GetAsync(TestContext.Current.CancellationToken);
        for (int i = 0; i < content.Length; i += S)
        {
            Assert.True(tables.Weak.MayHave(WeakChecksum.Compute(content.AsSpan(i, S)).Value));
            Assert.Equal(i == 0 ? 0 : 1, Count(tables.Previous, content, i));
            Assert.Equal(i + S == content.Length ? 0 : 1, Count(tables.Next, content, i));
        }
    }

    private static int Count(FingerprintTable table, byte[] content, int at) => table.Find(BlockHash.Of(content.AsSpan(at, S)).Prefix, stackalloc uint[8]);
}
