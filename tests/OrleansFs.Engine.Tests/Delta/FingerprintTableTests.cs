using OrleansFs.Engine.Delta;

namespace OrleansFs.Engine.Tests.Delta;

/// <summary>What the table of checksums forgets.</summary>
public sealed class FingerprintTableTests
{
    /// <summary>As full as an index lets it become before it makes a larger one.</summary>
    [Fact]
    public void A_table_that_is_half_full_forgets_one_entry_in_a_thousand_at_most()
    {
        var random = new Random(1);
        var table = new FingerprintTable(1 << 14);
        ulong[] keys = [.. Enumerable.Range(0, 1 << 13).Select(_ => (ulong)random.NextInt64())];
        foreach (ulong key in keys)
            table.Add(key, (uint)key);
        Assert.InRange(keys.Count(k => !Has(table, k)), 0, keys.Length / 1000);
        Assert.All(keys, k => Assert.Equal(Has(table, k), table.MayHave(k)));
        Assert.InRange(Enumerable.Range(0, 100_000).Count(_ => table.MayHave((ulong)random.NextInt64())), 0, 1);
    }

    [Fact]
    public void A_full_table_takes_what_is_new()
    {
        var random = new Random(2);
        var table = new FingerprintTable(1 << 10);
        for (int i = 0; i < 1 << 14; i++)
        {
            ulong key = (ulong)random.NextInt64();
            table.Add(key, (uint)key);
            Assert.True(Has(table, key));
        }
        Assert.Equal(table.Capacity, table.Count);
    }

    private static bool Has(FingerprintTable table, ulong key)
    {
        Span<uint> values = stackalloc uint[16];
        return values[..table.Find(key, values)].Contains((uint)key);
    }
}
