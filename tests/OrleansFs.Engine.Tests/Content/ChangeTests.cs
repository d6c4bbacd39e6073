using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>Changes out of a journal that is cut.</summary>
public sealed class ChangeTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>On a disk this small the journal keeps little: who comes with a position from before its beginning is told so, once, and goes on from what there is.</summary>
    [Fact]
    public async Task Who_resumes_from_before_the_cut_is_told_and_goes_on_from_the_present()
    {
        using var disk = new SmallDisk(48);
        await using var volume = await VolumeFixture.CreateAsync(folder: Path.Combine(disk.Folder, "v"));
        var file = await volume.CreateFileAsync("file");
        var start = await PositionAsync(volume);
        byte[] value = new byte[60_000];
        int rounds = 0;
        for (; (await ReadAsync(volume, start)).Error == Errno.None && rounds < 500; rounds++)
        {
            new Random(rounds).NextBytes(value);
            Assert.Equal(Errno.None, (await volume.Volume.SetXattrAsync(file, "user.large"u8.ToArray(), value, default, Cancellation)).Error);
            Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        }
        Assert.InRange(rounds, 5, 499);
        Assert.Equal(Errno.ESTALE, (await ReadAsync(volume, start)).Error);
        // After a restart too, and from the present on nothing is missed.
        await volume.ReopenAsync();
        Assert.Equal(Errno.ESTALE, (await ReadAsync(volume, start)).Error);
        var present = await PositionAsync(volume);
        Assert.Empty((await ReadAsync(volume, present)).Value.Changes);
        var waiting = volume.Volume.WaitForChangeAsync(present, Cancellation).AsTask();
        Assert.False(waiting.IsCompleted);
        await volume.CreateFileAsync("next");
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        Assert.Equal(Errno.None, (await waiting.WaitAsync(TimeSpan.FromSeconds(60), Cancellation)).Error);
        Assert.Equal("/next", (await ReadAsync(volume, present)).Value.Changes.Single(c => c.Kind == ChangeKind.Created).Path);
    }

    private static async Task<Lsn> PositionAsync(VolumeFixture volume)
    {
        Assert.Equal(Errno.None, (await volume.Copy.SyncAllAsync(Cancellation)).Error);
        return (await volume.Volume.ReadChangesAsync(InodeNumber.Root, null, 1, Cancellation)).Value.Next;
    }

    private static async Task<FsResult<ChangePage>> ReadAsync(VolumeFixture volume, Lsn after) => await volume.Volume.ReadChangesAsync(InodeNumber.Root, after, 100, Cancellation);
}
