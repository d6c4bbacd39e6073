using System.Security.Cryptography;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Engine.Content;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

/// <summary>The redo log by itself: what it finds again, and what it does not.</summary>
public sealed class RedoLogTests : IDisposable
{
    private const long Bytes = 8 << 20;
    private static readonly VolumeId Volume = VolumeId.New();

    private readonly string _folder = Directory.CreateTempSubdirectory("ofs-redo-").FullName;
    private long _durable;

    public void Dispose() => Directory.Delete(_folder, recursive: true);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task What_was_synced_is_found_in_order()
    {
        byte[] large = RandomNumberGenerator.GetBytes((3 << 20) + 77);
        using (var log = Open(out var none))
        {
            Assert.Empty(none);
            Assert.Equal(1, Append(log, 7, (100, "abc"u8.ToArray())));
            Assert.Equal(2, Append(log, 8));
            Assert.Equal(3, Append(log, 7, (0, large), (long.MaxValue - 3, [1, 2, 3])));
            await log.WaitAsync(3, SyncWait.Later, Cancellation);
            Assert.Equal(3 + large.Length + 3, log.LiveBytes);
        }
        using var again = Open(out var found);
        Assert.Equal([(7UL, 1L), (8UL, 2L), (7UL, 3L)], found.Select(e => (e.Record.Inode.Value, e.Record.Sequence)));
        Assert.Equal((10L, 11L, 12L), (found[0].Record.Size, found[0].Record.ModifyTime.Nanoseconds, found[0].Record.ChangeTime.Nanoseconds));
        Assert.Equal("abc"u8.ToArray(), Content(found[0])[100]);
        Assert.Empty(found[1].Ranges);
        var content = Content(found[2]);
        Assert.Equal(large, content.Where(c => c.Key < 4 << 20).OrderBy(c => c.Key).SelectMany(c => c.Value).ToArray());
        Assert.Equal([1, 2, 3], content[long.MaxValue - 3]);
    }

    [Fact]
    public void A_record_that_is_torn_ends_the_log_wherever_it_is_torn()
    {
        using (var log = Open(out _))
        {
            for (int i = 0; i < 4; i++)
                Append(log, 7, (i, [(byte)i, 2, 3]));
        }
        string path = Path.Combine(_folder, "redo.0");
        byte[] whole = File.ReadAllBytes(path);
        int record = RedoRecord.PageBytes;
        // Each byte of the third record that means something, and a file that ends within it.
        for (int at = 0; at < RedoRecord.HeadBytes + RedoRecord.RangeBytes + 3; at++)
        {
            byte[] torn = [.. whole];
            torn[2 * record + at] ^= 0x40;
            File.WriteAllBytes(path, torn);
            using (Open(out var found))
                Assert.Equal(at is 6 or 7 ? [1L, 2, 3, 4] : [1L, 2], found.Select(e => e.Record.Sequence));
            File.WriteAllBytes(path, whole[..(2 * record + at)]);
            using (Open(out var found))
                Assert.Equal([1L, 2], found.Select(e => e.Record.Sequence));
        }
    }

    [Fact]
    public void After_a_torn_record_a_new_generation_begins_and_nothing_old_comes_back()
    {
        using (var log = Open(out _))
        {
            for (int i = 0; i < 4; i++)
                Append(log, 7, (i, [(byte)i]));
        }
        string path = Path.Combine(_folder, "redo.0");
        byte[] whole = File.ReadAllBytes(path);
        whole[(2 * RedoRecord.PageBytes) + 100] ^= 1;
        File.WriteAllBytes(path, whole);
        using (var log = Open(out var found))
        {
            Assert.Equal([1L, 2], found.Select(e => e.Record.Sequence));
            log.Adopt(found[0]);
            // The first file counts still: the record goes to the second.
            Assert.Equal(3, Append(log, 9, (0, [9])));
        }
        using (Open(out var found))
            Assert.Equal([1L, 2, 3], found.Select(e => e.Record.Sequence));
    }

    [Fact]
    public async Task A_file_of_the_log_is_written_over_only_when_what_it_has_is_settled_on_disk()
    {
        byte[] half = new byte[(Bytes / 2) - 8192];
        using (var log = Open(out _))
        {
            Assert.NotNull(Append(log, 7, (0, half)));
            Assert.NotNull(Append(log, 8, (0, half)));
            Assert.Null(Append(log, 9, (0, half)));
            log.Settle(new InodeNumber(7), log.MarkOf(new InodeNumber(7)), new Lsn(5));
            Assert.Null(Append(log, 9, (0, half)));
            _durable = 5;
            Assert.Equal(1, log.Oldest);
            Assert.Equal(3, Append(log, 9, (0, half)));
            // It has not been written over on disk yet.
            Assert.Equal(1, log.Oldest);
            await log.WaitAsync(3, SyncWait.Later, Cancellation);
            Assert.Equal(2, log.Oldest);
            Assert.Null(Append(log, 10, (0, new byte[Bytes])));
            Assert.Equal(2 * half.Length, log.LiveBytes);
        }
        using (Open(out var found))
            Assert.Equal([(8UL, 2L), (9UL, 3L)], found.Select(e => (e.Record.Inode.Value, e.Record.Sequence)));
    }

    [Fact]
    public void What_came_after_a_settling_began_counts_on()
    {
        using var log = Open(out _);
        var file = new InodeNumber(7);
        Append(log, 7, (0, [1, 2]));
        var mark = log.MarkOf(file);
        Append(log, 7, (5, [3, 4, 5]));
        log.Settle(file, mark, new Lsn(1));
        Assert.Equal(new RedoMark(2, 3), log.MarkOf(file));
        log.Settle(file, log.MarkOf(file), new Lsn(2));
        Assert.Equal((default, 0L), (log.MarkOf(file), log.LiveBytes));
    }

    [Fact]
    public void The_log_of_another_volume_is_none_and_one_in_which_nothing_counts_takes_no_room()
    {
        using (var log = Open(out _))
            Append(log, 7, (0, [1]));
        using (RedoLog.Open(_folder, VolumeId.New(), Bytes, 0, () => 0, _ => { }, NullLogger.Instance, out var foreign))
            Assert.Empty(foreign);
        using (Open(out var found))
            Assert.Single(found);
        Assert.Equal(0, new FileInfo(Path.Combine(_folder, "redo.0")).Length);
    }

    private RedoLog Open(out IReadOnlyList<RedoEntry> found) =>
        RedoLog.Open(_folder, Volume, Bytes, 0, () => _durable, e => Assert.Fail(e.Message), NullLogger.Instance, out found);

    private static long? Append(RedoLog log, ulong inode, params (long Offset, byte[] Data)[] writes) =>
        log.Append(
            new RedoRecord(0, 0, new InodeNumber(inode), Lsn.Zero, 10, new Timestamp(11), new Timestamp(12), 0, 0),
            [.. writes.Select(w => new ByteRange(w.Offset, w.Offset + w.Data.Length))],
            (at, target) =>
            {
                var (offset, data) = writes.Single(w => w.Offset <= at && at < w.Offset + w.Data.Length);
                data.AsSpan((int)(at - offset), target.Length).CopyTo(target);
            },
            _ => true);

    private static Dictionary<long, byte[]> Content(RedoEntry entry) => entry.Writes().ToDictionary(w => w.Offset, w => w.Data.ToArray());
}
