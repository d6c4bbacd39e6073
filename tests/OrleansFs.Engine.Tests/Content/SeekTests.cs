using OrleansFs.Engine.Metadata;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>SEEK_HOLE over a manifest of many rows, with something in flight over it.</summary>
public sealed class SeekTests
{
    private const int S = 4096;

    /// <summary>More rows than are looked at under one hold of the metadata lock.</summary>
    private const int Segments = MetadataLimits.PageRows + 10;

    private const long Blocks = (long)Segments * MetadataLimits.SegmentBlocks;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task The_next_hole_of_a_large_file_is_found_behind_everything_that_is_none()
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        var file = await LargeAsync(volume);
        Assert.Equal(Blocks * S, await HoleAsync(volume, file, 0));
        // Every other block of some thousand is in flight.
        for (long block = 100; block < 4000; block += 2)
            await volume.WriteAsync(file, block * S, [.. Enumerable.Repeat((byte)1, S)]);
        Assert.Equal(Blocks * S, await HoleAsync(volume, file, 0));
        long punched = Blocks - 700;
        Assert.True((await volume.Volume.AllocateAsync(file, AllocateMode.PunchHole | AllocateMode.KeepSize, punched * S, 3 * S, Cancellation)).IsOk);
        await volume.WriteAsync(file, punched * S, [.. Enumerable.Repeat((byte)2, S)]);
        Assert.Equal((punched + 1) * S, await HoleAsync(volume, file, 0));
        Assert.Equal((punched + 2) * S, await HoleAsync(volume, file, (punched + 2) * S));
        Assert.Equal(Blocks * S, await HoleAsync(volume, file, (punched + 3) * S));
        Assert.True((await volume.Volume.SyncAllAsync(Cancellation)).IsOk);
        Assert.Equal((punched + 1) * S, await HoleAsync(volume, file, 50));

        // What is cut off is a hole where the file grows again.
        long cut = punched - 1000;
        await volume.SetSizeAsync(file, cut * S);
        await volume.SetSizeAsync(file, Blocks * S);
        await volume.WriteAsync(file, cut * S, [.. Enumerable.Repeat((byte)3, S)]);
        Assert.Equal((cut + 1) * S, await HoleAsync(volume, file, 0));
    }

    private static async Task<long> HoleAsync(VolumeFixture volume, InodeNumber file, long from)
    {
        var hole = await volume.Volume.SeekAsync(file, from, SeekKind.Hole, Cancellation);
        Assert.Equal(Errno.None, hole.Error);
        return hole.Value;
    }

    /// <summary>A file whose every block is that of one content, as its manifest says.</summary>
    private static async Task<InodeNumber> LargeAsync(VolumeFixture volume)
    {
        var file = await volume.CreateFileAsync("large");
        var metadata = volume.Copy.Metadata;
        var inode = metadata.Acquire(file)!;
        lock (inode)
            inode.Current = inode.Current with { Size = Blocks * S };
        var hash = BlockHash.Of([1]);
        for (long first = 0; first < Blocks; first += 1024)
        {
            var blocks = Enumerable.Range(0, (int)Math.Min(1024, Blocks - first)).Select(i => new ManifestBlock(first + i, hash, S, 1, S, 0)).ToList();
            Assert.True(metadata.CommitContent(inode, new ContentCommit { Size = Blocks * S, ModifyTime = inode.Snapshot().ModifyTime, Blocks = blocks }).IsOk);
        }
        metadata.Release(inode);
        return file;
    }
}
