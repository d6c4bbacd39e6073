using System.Diagnostics;
using OrleansFs.Engine.Blocks;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Blocks;

/// <summary>Measurements, not tests: run them with <c>-explicit only -class OrleansFs.Engine.Tests.Blocks.BlockSpeed</c>, built with <c>-c Release</c>.</summary>
public sealed class BlockSpeed(ITestOutputHelper output)
{
    private const int S = 131072;

    [Theory(Explicit = true)]
    [InlineData(2048, S, 1)]
    [InlineData(2048, S, 2)]
    [InlineData(8192, 4096, 1)]
    [InlineData(256, 1 << 20, 1)]
    public async Task Writing_blocks_and_syncing_them(int count, int size, int writers)
    {
        using var fixture = new BlockFolderFixture();
        var files = fixture.Files;
        for (int round = 0; round < 3; round++)
        {
            byte[] content = BlockFolderFixture.Content(round, size);
            int seed = round * count;
            var time = Stopwatch.StartNew();
            await Task.WhenAll(Enumerable.Range(0, writers).Select(w => Task.Run(() =>
            {
                byte[] mine = (byte[])content.Clone();
                for (int i = w; i < count; i += writers)
                {
                    BitConverter.TryWriteBytes(mine, seed + i);
                    files.Write(BlockHash.Of(mine.AsSpan(0, 64)), mine);
                }
            })));
            var written = time.Elapsed;
            await files.SyncAsync(files.LastSequence, TestContext.Current.CancellationToken);
            double seconds = time.Elapsed.TotalSeconds;
            output.WriteLine($"{count} blocks of {size}, {writers} writers: written in {written.TotalMilliseconds:F0} ms ({written.TotalMicroseconds / count:F0} us each), synced in {(seconds - written.TotalSeconds) * 1000:F0} ms: {(double)count * size / 1e6 / seconds:F0} MB/s, {count / seconds:F0} blocks/s");
        }
    }

    /// <summary>As the engine does it: a sync every so many blocks, beside the writing.</summary>
    [Fact(Explicit = true)]
    public async Task A_long_write_with_syncs_beside_it()
    {
        const int Count = 4096;
        using var fixture = new BlockFolderFixture();
        byte[] content = BlockFolderFixture.Content(1, S);
        var syncing = Task.CompletedTask;
        var time = Stopwatch.StartNew();
        for (int i = 0; i < Count; i++)
        {
            BitConverter.TryWriteBytes(content, i);
            long sequence = fixture.Files.Write(BlockHash.Of(content.AsSpan(0, 64)), content).WriteSequence;
            if (i % 256 != 255)
                continue;
            await syncing;
            syncing = fixture.Files.SyncAsync(sequence, TestContext.Current.CancellationToken).AsTask();
        }
        await syncing;
        output.WriteLine($"{Count} blocks of {S}: {Count * (double)S / 1e6 / time.Elapsed.TotalSeconds:F0} MB/s in {time.ElapsedMilliseconds} ms");
    }

    [Fact(Explicit = true)]
    public async Task Syncing_one_block_at_a_time()
    {
        using var fixture = new BlockFolderFixture();
        foreach (int size in new[] { 1000, S })
        {
            byte[] content = BlockFolderFixture.Content(1, size);
            var time = Stopwatch.StartNew();
            for (int i = 0; i < 500; i++)
            {
                BitConverter.TryWriteBytes(content, i);
                await fixture.Files.SyncAsync(fixture.Files.Write(BlockHash.Of(content), content).WriteSequence, TestContext.Current.CancellationToken);
            }
            output.WriteLine($"{size} bytes: {time.Elapsed.TotalMicroseconds / 500:F0} us");
        }
    }

    [Fact(Explicit = true)]
    public void Reading()
    {
        using var fixture = new BlockFolderFixture();
        byte[] destination = new byte[S];
        foreach (var (what, content) in new[] { ("raw", BlockFolderFixture.Content(1, S)), ("text", BlockFolderFixture.Text(1, S)) })
        {
            var hash = BlockHash.Of(content);
            fixture.Files.Write(hash, content);
            Measure($"read {what}", S, () => fixture.Files.Read(hash, destination));
        }
    }

    [Fact(Explicit = true)]
    public void Computing()
    {
        byte[] random = BlockFolderFixture.Content(1, S);
        byte[] text = BlockFolderFixture.Text(1, S);
        Measure("SHA-256", S, () => BlockHash.Of(random));
        Measure("weak checksum, vector", S, () => WeakPolynomial.EvaluateVector(random));
        Measure("weak checksum, scalar", S, () => WeakPolynomial.EvaluateScalar(random));
        Measure("compress random", S, () => BlockCompressor.Encode(random, out _));
        Measure("compress text", S, () => BlockCompressor.Encode(text, out _));
        byte[] head = new byte[BlockFormat.HeadBytes];
        Measure("head and XXH3", S, () => BlockFormat.HeadOf(default, BlockCodec.Raw, S, random, head));
        byte[] zeros = new byte[S];
        Measure("all zero", S, () => BlockStore.IsAllZero(zeros));
        Measure("roll", S - 4096, () =>
        {
            var rolling = new RollingChecksum(random.AsSpan(0, 4096));
            for (int i = 4096; i < S; i++)
                rolling.Roll(random[i - 4096], random[i]);
        });
    }

    private void Measure(string what, int bytes, Action action)
    {
        for (int i = 0; i < 1000; i++)
            action();
        var best = TimeSpan.MaxValue;
        for (int round = 0; round < 10; round++)
        {
            var time = Stopwatch.StartNew();
            for (int i = 0; i < 300; i++)
                action();
            best = time.Elapsed < best ? time.Elapsed : best;
        }
        output.WriteLine($"{what}: {best.TotalMicroseconds / 300:F1} us, {bytes / (best.TotalSeconds / 300) / 1e6:F0} MB/s");
    }
}
