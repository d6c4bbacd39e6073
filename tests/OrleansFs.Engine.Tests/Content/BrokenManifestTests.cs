using Microsoft.Data.Sqlite;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>The list of a file's blocks cannot be read from meta.db: what needs it ends with an error, changes nothing and keeps nothing.</summary>
public sealed class BrokenManifestTests
{
    private const int S = 4096;
    private const int PageSize = 4096;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task A_change_that_cannot_see_what_it_lies_over_leaves_nothing_in_memory()
    {
        await using var volume = await VolumeFixture.CreateAsync(S);
        var file = await volume.CreateFileAsync("broken");
        await volume.WriteAsync(file, 0, Pattern(1, (2 * S) + 100));
        var whole = await volume.CreateFileAsync("whole");
        await volume.WriteAsync(whole, 0, Pattern(2, 4 * S));
        await volume.Copy.CloseAsync();
        byte[] page = await ExchangeAsync(volume.Folder, "manifest", new byte[PageSize]);
        try
        {
            await volume.ReopenAsync();
            for (int i = 0; i < 8; i++)
            {
                Assert.Equal(Errno.EIO, (await volume.Volume.WriteAsync(file, S - 10, new byte[20], WriteFlags.None, Cancellation)).Error);
                Assert.Equal(Errno.EIO, (await volume.Volume.WriteAsync(file, (2 * S) + 100, new byte[S], WriteFlags.None, Cancellation)).Error);
                foreach (var mode in new[] { AllocateMode.PunchHole | AllocateMode.KeepSize, AllocateMode.ZeroRange })
                    Assert.Equal(Errno.EIO, (await volume.Volume.AllocateAsync(file, mode, 10, S, Cancellation)).Error);
                Assert.Equal(Errno.EIO, (await volume.Volume.CopyRangeAsync(file, 0, whole, 0, 2 * S, Cancellation)).Error);
                Assert.Equal(Errno.EIO, (await volume.Volume.CopyRangeAsync(whole, 0, file, 4 * S, 2 * S, Cancellation)).Error);
                Assert.Equal(Errno.EIO, (await volume.Volume.SetAttributesAsync(file, new AttributeChange { Mask = AttributeMask.Size, Size = 100 }, VolumeFixture.Root, Cancellation)).Error);
            }
            Assert.Equal((2 * S) + 100, (await volume.Volume.GetAttributesAsync(file, Cancellation)).Value.Size);
            Assert.Equal(0, volume.Copy.InFlightBytes);
            // Nothing is in flight that a time would have to wait for.
            var dated = await volume.Volume.SetAttributesAsync(file, new AttributeChange { Mask = AttributeMask.ModifyTime, ModifyTime = new Timestamp(1_000_000_000) }, VolumeFixture.Root, Cancellation);
            Assert.Equal(1_000_000_000, dated.Value.ModifyTime.Nanoseconds);
            Assert.Equal(0, volume.Copy.Files.Dirty.Count);
        }
        finally
        {
            await volume.Copy.CloseAsync();
            await ExchangeAsync(volume.Folder, "manifest", page);
        }
        await volume.ReopenAsync();
        Assert.Equal(1_000_000_000, (await volume.Volume.GetAttributesAsync(file, Cancellation)).Value.ModifyTime.Nanoseconds);
        Assert.Equal(Pattern(1, (2 * S) + 100), await volume.ReadAllAsync(file));
        Assert.Equal(Pattern(2, 4 * S), await volume.ReadAllAsync(whole));
    }

    [Fact]
    public async Task A_file_that_cannot_be_settled_keeps_no_other_from_being_there_after_a_close()
    {
        await using var volume = await VolumeFixture.CreateAsync(S, time: new PassingTime());
        var file = await volume.CreateFileAsync("broken");
        await volume.WriteAsync(file, 0, Pattern(1, S));
        var other = await volume.CreateFileAsync("other");
        await volume.Copy.CloseAsync();
        byte[] page = await ExchangeAsync(volume.Folder, "block", new byte[PageSize]);
        try
        {
            await volume.ReopenAsync();
            // The first asks whether its block is known. The second has none: it is all zeros.
            await volume.WriteAsync(file, 0, Pattern(2, S));
            await volume.WriteAsync(other, 0, new byte[100]);
            await Assert.ThrowsAsync<VolumeException>(volume.Copy.CloseAsync);
        }
        finally
        {
            await ExchangeAsync(volume.Folder, "block", page);
        }
        await volume.ReopenAsync();
        Assert.Equal(Pattern(1, S), await volume.ReadAllAsync(file));
        Assert.Equal(100, (await volume.Volume.GetAttributesAsync(other, Cancellation)).Value.Size);
    }

    /// <summary>Puts a page in place of the root of a table, which is all of it where it is small.</summary>
    /// <returns>What it was.</returns>
    private static async Task<byte[]> ExchangeAsync(string folder, string table, byte[] page)
    {
        string database = Path.Combine(folder, "meta.db");
        await using var connection = new SqliteConnection($"Data Source={database};Mode=ReadOnly;Pooling=False");
        await connection.OpenAsync(Cancellation);
        await using var command = connection.CreateCommand();
        command.CommandText = "SELECT rootpage FROM sqlite_schema WHERE name = $table";
        command.Parameters.AddWithValue("$table", table);
        long number = (long)(await command.ExecuteScalarAsync(Cancellation))!;
        await connection.CloseAsync();
        using var file = File.OpenHandle(database, FileMode.Open, FileAccess.ReadWrite);
        byte[] before = new byte[PageSize];
        RandomAccess.Read(file, before, (number - 1) * PageSize);
        RandomAccess.Write(file, page, (number - 1) * PageSize);
        return before;
    }

    private static byte[] Pattern(int seed, int length)
    {
        byte[] data = new byte[length];
        new Random(seed).NextBytes(data);
        return data;
    }
}
