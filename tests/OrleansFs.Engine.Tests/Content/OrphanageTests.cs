using System.Reflection;
using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

public sealed class OrphanageTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Who queues one may have the metadata lock, as a rename over a file has, and a purge takes the gate of a file, whose owner may wait for that lock.</summary>
    [Fact]
    public async Task An_orphan_for_which_the_queue_has_no_room_is_purged_later_and_not_at_once()
    {
        await using var volume = await VolumeFixture.CreateAsync(4096);
        using var session = volume.Copy.OpenSession(new Program());
        var file = await volume.CreateFileAsync("file");
        await volume.WriteAsync(file, 0, new byte[100]);
        Assert.True((await session.UnlinkAsync(InodeNumber.Root, "file"u8.ToArray(), Cancellation)).IsOk);

        using var orphanage = new Orphanage(volume.Copy.Metadata, volume.Copy.Files, new TroubleLog(NullLogger.Instance, TimeProvider.System));
        for (ulong i = 0; i < Limits.PurgeQueue; i++)
            orphanage.Queue(new InodeNumber(1_000_000 + i));
        var inode = volume.Copy.Metadata.Acquire(file)!;
        var added = new Thread(() => orphanage.Add(file));
        lock (inode.Gate)
        {
            added.Start();
            Assert.True(added.Join(TimeSpan.FromSeconds(30)), "it waits for the gate of the file");
        }
        volume.Copy.Metadata.Release(inode);
        await orphanage.PurgeQueuedAsync();
        Assert.Null(volume.Copy.Metadata.Acquire(file));
    }

    /// <summary>It is an orphan that the store made itself, which nobody ever lets go of.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task What_is_cut_out_of_a_large_file_is_given_back_while_nothing_else_is_deleted(bool punched)
    {
        const int Size = 8 << 20;
        await using var volume = await VolumeFixture.CreateAsync(4096);
        var file = await volume.CreateFileAsync("large");
        await volume.WriteAsync(file, 0, RandomNumberGenerator.GetBytes(Size));
        await volume.SyncAsync(file);
        if (punched)
            Assert.True((await volume.Volume.AllocateAsync(file, AllocateMode.PunchHole | AllocateMode.KeepSize, 0, Size, Cancellation)).IsOk);
        else
            await volume.SetSizeAsync(file, 0);
        await volume.SyncAsync(file);
        await EventuallyAsync(() => volume.Copy.Metadata.Counters is { Orphans: 0, ReferencedBytes: 0 });
    }

    /// <summary>As one of another process that waited for room, whose session ended meanwhile. Nothing could ever settle it.</summary>
    [Fact]
    public async Task A_change_that_comes_when_its_file_is_purged_is_refused_and_holds_up_nothing()
    {
        await using var volume = await VolumeFixture.CreateAsync(4096);
        var program = new Program { OutlivesProcess = true };
        using var session = volume.Copy.OpenSession(program);
        var file = await volume.CreateFileAsync("file");
        await volume.WriteAsync(file, 0, new byte[100]);
        var inode = volume.Copy.Metadata.Acquire(file)!;
        Assert.True((await session.UnlinkAsync(InodeNumber.Root, "file"u8.ToArray(), Cancellation)).IsOk);
        program.IsOpen = false;
        session.Forget(file);
        await EventuallyAsync(() => volume.Copy.Metadata.Counters.Orphans == 0);

        Assert.Equal(Errno.ESTALE, volume.Copy.Files.Truncate(inode, 5).Error);
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        Assert.Equal(0, volume.Copy.Files.Dirty.Count);
        volume.Copy.Metadata.Release(inode);
    }

    [Fact]
    public async Task An_orphan_that_cannot_be_purged_now_is_purged_later()
    {
        await using var volume = await VolumeFixture.CreateAsync(4096);
        using var session = volume.Copy.OpenSession(new Program());
        var file = await volume.CreateFileAsync("large");
        await volume.WriteAsync(file, 0, RandomNumberGenerator.GetBytes(4 << 20));
        await volume.SyncAsync(file);
        Assert.True((await session.UnlinkAsync(InodeNumber.Root, "large"u8.ToArray(), Cancellation)).IsOk);
        using var orphanage = new Orphanage(volume.Copy.Metadata, volume.Copy.Files, new TroubleLog(NullLogger.Instance, TimeProvider.System));
        var database = DatabaseOf(volume.Copy);
        lock (volume.Copy.Metadata.Lock)
            database.Execute("CREATE TEMP TRIGGER fails BEFORE DELETE ON manifest BEGIN SELECT RAISE(ABORT, 'the disk fails'); END");
        orphanage.Add(file);
        await orphanage.PurgeQueuedAsync();
        Assert.Equal(1, volume.Copy.Metadata.Counters.Orphans);

        lock (volume.Copy.Metadata.Lock)
            database.Execute("DROP TRIGGER IF EXISTS fails");
        orphanage.PurgeAgain();
        await orphanage.PurgeQueuedAsync();
        Assert.True(volume.Copy.Metadata.Counters is { Orphans: 0, ReferencedBytes: 0 });
    }

    /// <summary>A writer that finds the disk full waits for a part of it only, and no longer than it wants to.</summary>
    [Fact]
    public async Task A_long_purge_can_be_left_in_the_middle_and_goes_on_from_there()
    {
        await using var volume = await VolumeFixture.CreateAsync(4096);
        using var session = volume.Copy.OpenSession(new Program());
        var file = await volume.CreateFileAsync("large");
        await volume.WriteAsync(file, 0, RandomNumberGenerator.GetBytes(8 << 20));
        await volume.SyncAsync(file);
        Assert.True((await session.UnlinkAsync(InodeNumber.Root, "large"u8.ToArray(), Cancellation)).IsOk);
        using var leaving = new CancellationTokenSource();
        long before = volume.Copy.Metadata.Counters.ReferencedBytes;
        using var orphanage = new Orphanage(volume.Copy.Metadata, volume.Copy.Files, new TroubleLog(NullLogger.Instance, TimeProvider.System))
        {
            KeepsAll = () =>
            {
                if (volume.Copy.Metadata.Counters.ReferencedBytes < before)
                    leaving.Cancel();
                return false;
            },
        };
        orphanage.Add(file);
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => orphanage.PurgeSomeAsync(leaving.Token));
        Assert.InRange(volume.Copy.Metadata.Counters.ReferencedBytes, 1 << 20, before - 1);
        Assert.True(orphanage.IsPurging(file));

        await orphanage.PurgeQueuedAsync();
        Assert.True(volume.Copy.Metadata.Counters is { Orphans: 0, ReferencedBytes: 0 });
        Assert.False(orphanage.IsPurging(file));
    }

    private static Database DatabaseOf(VolumeCopy volume) =>
        (Database)typeof(MetadataStore).GetField("_database", BindingFlags.Instance | BindingFlags.NonPublic)!.GetValue(volume.Metadata)!;

    private static async Task EventuallyAsync(Func<bool> condition)
    {
        using var patience = new CancellationTokenSource(TimeSpan.FromSeconds(20));
        while (!condition())
            await Task.Delay(20, patience.Token);
    }

    private sealed class Program : IInodeHolder
    {
        public bool IsOpen { get; set; } = true;

        public bool OutlivesProcess { get; init; }

        public bool Holds(InodeNumber inode) => IsOpen;
    }
}
