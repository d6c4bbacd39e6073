using System.Reflection;
using System.Security.Cryptography;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>The settling of a file that takes more than one hold of the metadata lock.</summary>
public sealed class SettleTests
{
    private const int S = 4096;

    /// <summary>Three steps.</summary>
    private const int Size = 3 * Limits.CommitChunk * S;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_settling_that_fails_in_the_middle_leaves_the_file_as_it_was_until_it_gets_through()
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        var file = await volume.CreateFileAsync("file");
        byte[] before = RandomNumberGenerator.GetBytes(Size);
        await volume.WriteAsync(file, 0, before);
        await volume.SyncAsync(file);
        await FailAsync(volume, from: 2 * Limits.CommitChunk);
        byte[] after = RandomNumberGenerator.GetBytes(Size + 100);
        await volume.WriteAsync(file, 0, after);
        Assert.NotEqual(Errno.None, (await volume.Volume.SyncAsync(file, false, Cancellation)).Error);
        Assert.Equal(after, await volume.ReadAllAsync(file));

        // Whoever commits is told, and not left waiting.
        var other = await volume.CreateFileAsync("other");
        Assert.NotEqual(Errno.None, (await volume.Volume.SyncAsync(other, false, Cancellation)).Error);
        await ExpectAfterKillAsync(volume, before);
        lock (volume.Copy.Metadata.Lock)
            DatabaseOf(volume).Execute("DROP TRIGGER IF EXISTS fails");
        await volume.SyncAsync(file);
        await volume.SyncAsync(other);
        await ExpectAfterKillAsync(volume, after);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_file_that_is_deleted_when_its_settling_has_failed_holds_up_nobody(bool isOpen)
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        var file = await volume.CreateFileAsync("file");
        await FailAsync(volume, from: 2 * Limits.CommitChunk);
        await volume.WriteAsync(file, 0, RandomNumberGenerator.GetBytes(Size));
        Assert.NotEqual(Errno.None, (await volume.Volume.SyncAsync(file, false, Cancellation)).Error);
        if (isOpen)
            volume.Hold(file);
        Assert.True((await volume.Volume.UnlinkAsync(InodeNumber.Root, "file"u8.ToArray(), Cancellation)).IsOk);
        if (isOpen)
        {
            lock (volume.Copy.Metadata.Lock)
                DatabaseOf(volume).Execute("DROP TRIGGER IF EXISTS fails");
            using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(60));
            while (!(await volume.Volume.SyncAllAsync(patience.Token)).IsOk)
                await Task.Delay(50, patience.Token);
            volume.LetGo(file);
        }
        await volume.Copy.Orphanage.PurgeQueuedAsync();
        Assert.Equal(Errno.None, (await volume.Volume.SyncAllAsync(Cancellation)).Error);
        Assert.True(volume.Copy.Metadata.Counters is { Orphans: 0, ReferencedBytes: 0 });
    }

    /// <summary>No manifest can be written from a block on.</summary>
    private static async Task FailAsync(VolumeFixture volume, int from)
    {
        lock (volume.Copy.Metadata.Lock)
            DatabaseOf(volume).Execute($"CREATE TEMP TRIGGER fails BEFORE INSERT ON manifest WHEN NEW.segment >= {from / MetadataLimits.SegmentBlocks} BEGIN SELECT RAISE(ABORT, 'the disk fails'); END");
        // In a transaction of its own, so that it is still there when another is undone.
        await volume.CreateFileAsync("a change");
        Assert.Equal(Errno.None, (await volume.Volume.SyncAllAsync(Cancellation)).Error);
    }

    private static async Task ExpectAfterKillAsync(VolumeFixture volume, byte[] expected)
    {
        string killed = volume.CopyAsKilled();
        await using (var after = await VolumeFixture.CreateAsync(folder: killed))
            Assert.Equal(expected, await after.ReadAllAsync(await after.FindAsync("file")));
        Directory.Delete(killed, recursive: true);
    }

    private static Database DatabaseOf(VolumeFixture volume) =>
        (Database)typeof(MetadataStore).GetField("_database", BindingFlags.Instance | BindingFlags.NonPublic)!.GetValue(volume.Copy.Metadata)!;
}
