using System.Text;
using OrleansFs.Engine.Check;
using OrleansFs.Engine.Tests.Replication;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>Append-only files: each write one record, in order, once, also after a kill and on a replica.</summary>
public sealed class RecordTests
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Concurrent_appends_are_records_that_nothing_splits_or_loses()
    {
        await using var volume = await VolumeFixture.CreateAsync(64 << 10);
        var log = await LogAsync(volume, "log", "before\n");
        var written = new System.Collections.Concurrent.ConcurrentBag<(RecordInfo Record, byte[] Data)>();
        await Parallel.ForEachAsync(Enumerable.Range(0, 8), Cancellation, async (writer, token) =>
        {
            var random = new Random(writer);
            for (int i = 0; i < 100; i++)
            {
                byte[] data = Encoding.ASCII.GetBytes($"{writer}:{i}:{new string('x', random.Next(2000))}\n");
                var appended = await volume.Volume.AppendAsync(log, data, null, false, token);
                written.Add((appended.Value, data));
            }
        });
        byte[] content = await volume.ReadAllAsync(log);
        var records = await AllAsync(volume.Volume, log);
        Assert.Equal(800, records.Count);
        Assert.Equal(Enumerable.Range(0, 800).Select(i => (long)i), records.Select(r => r.Sequence));
        Assert.Equal(7, records[0].Offset);
        Assert.All(records.Zip(records.Skip(1)), pair => Assert.Equal((pair.First.Offset + pair.First.Length, true), (pair.Second.Offset, pair.First.Lsn < pair.Second.Lsn && pair.First.Time <= pair.Second.Time)));
        Assert.Equal(content.Length, records[^1].Offset + records[^1].Length);
        foreach (var (record, data) in written)
        {
            Assert.Equal(record, records[(int)record.Sequence]);
            Assert.Equal(data, content.AsSpan((int)record.Offset, data.Length).ToArray());
        }
    }

    [Fact]
    public async Task Only_appends_are_taken_and_not_too_long_ones()
    {
        await using var volume = await VolumeFixture.CreateAsync();
        var plain = await volume.CreateFileAsync("plain");
        Assert.Equal(Errno.EPERM, (await volume.Volume.AppendAsync(plain, "x"u8.ToArray(), null, false, Cancellation)).Error);
        var log = await LogAsync(volume, "log", "");
        Assert.Equal(Errno.EMSGSIZE, (await volume.Volume.AppendAsync(log, new byte[RecordLimits.MaxRecord + 1], null, false, Cancellation)).Error);
        Assert.Equal(Errno.EMSGSIZE, (await volume.Volume.WriteAsync(log, 0, new byte[3 << 20], WriteFlags.Append, Cancellation)).Error);
        Assert.Equal(RecordLimits.MaxRecord, (await volume.Volume.AppendAsync(log, new byte[RecordLimits.MaxRecord], null, false, Cancellation)).Value.Length);
        Assert.Equal(Errno.EINVAL, (await volume.Volume.AppendAsync(log, default, null, false, Cancellation)).Error);
        Assert.Equal(Errno.EPERM, (await volume.Volume.WriteAsync(log, 0, "x"u8.ToArray(), WriteFlags.None, Cancellation)).Error);
        Assert.Equal(Errno.EPERM, (await volume.Volume.WriteAsync(log, RecordLimits.MaxRecord + 5, "x"u8.ToArray(), WriteFlags.None, Cancellation)).Error);
        Assert.Equal(Errno.None, (await volume.Volume.WriteAsync(log, RecordLimits.MaxRecord, "x"u8.ToArray(), WriteFlags.None, Cancellation)).Error);
        Assert.Equal(Errno.EPERM, (await volume.Volume.AllocateAsync(log, AllocateMode.None, 0, 4 << 20, Cancellation)).Error);
        Assert.Equal(2, (await AllAsync(volume.Volume, log)).Count);
        Assert.Equal(Errno.ESTALE, (await volume.Volume.ListRecordsAsync(log, 3, 10, Cancellation)).Error);
        Assert.Empty((await volume.Volume.ListRecordsAsync(log, 2, 10, Cancellation)).Value);

        // The flag goes, and with it the records; set again, they begin anew behind what is there.
        await FlagAsync(volume, log, false);
        Assert.Empty(await AllAsync(volume.Volume, log));
        await volume.SetSizeAsync(log, 10);
        await FlagAsync(volume, log, true);
        var anew = (await volume.Volume.AppendAsync(log, "y"u8.ToArray(), null, false, Cancellation)).Value;
        Assert.Equal((0L, 10L), (anew.Sequence, anew.Offset));
    }

    [Fact]
    public async Task What_was_answered_survives_a_kill_and_an_append_asked_for_again_is_made_once()
    {
        await using var volume = await VolumeFixture.CreateAsync(64 << 10);
        var log = await LogAsync(volume, "log", "head");
        var writer = Guid.NewGuid();
        for (int i = 1; i <= 300; i++)
            Assert.Equal(i - 1, (await volume.Volume.AppendAsync(log, Data(i), new AppendName { Writer = writer, Number = i }, durable: i % 50 == 0, Cancellation)).Value.Sequence);
        // Not answered: in memory only, or without its content.
        Assert.Equal(Errno.None, (await volume.Volume.WriteAsync(log, 0, "lost, or not"u8.ToArray(), WriteFlags.Append, Cancellation)).Error);
        Assert.Equal(Errno.None, (await volume.Copy.KeepAsync(Cancellation)).Error);
        await using var after = await VolumeFixture.CreateAsync(folder: volume.CopyAsKilled());
        log = await after.FindAsync("log");
        var records = await AllAsync(after.Volume, log);
        byte[] content = await after.ReadAllAsync(log);
        Assert.Equal(300, records.Count);
        Assert.Equal(content.Length, records[^1].Offset + records[^1].Length);
        for (int i = 1; i <= 300; i++)
            Assert.Equal(Data(i), content.AsSpan((int)records[i - 1].Offset, (int)records[i - 1].Length).ToArray());
        var again = await after.Volume.AppendAsync(log, Data(300), new AppendName { Writer = writer, Number = 300, IsRepeated = true }, false, Cancellation);
        Assert.Equal(records[^1], again.Value);
        Assert.Equal(Errno.ESTALE, (await after.Volume.AppendAsync(log, Data(7), new AppendName { Writer = writer, Number = 7, IsRepeated = true }, false, Cancellation)).Error);
        Assert.Equal(300, (await after.Volume.AppendAsync(log, Data(301), new AppendName { Writer = writer, Number = 301, IsRepeated = true }, true, Cancellation)).Value.Sequence);
        await after.Copy.CloseAsync();
        var check = await VolumeCheck.RunAsync(new CheckOptions { DataFolder = after.Folder, VerifyData = true }, Microsoft.Extensions.Logging.Abstractions.NullLoggerFactory.Instance, TimeProvider.System, null, Cancellation);
        Assert.Empty(check.Faults);
        Directory.Delete(after.Folder, true);
    }

    [Fact]
    public async Task A_replica_has_the_records_and_who_waits_there_is_woken()
    {
        await using var master = await VolumeFixture.CreateAsync(64 << 10);
        await using var replica = await ReplicaFixture.CreateAsync();
        await master.Copy.Replication.AttachAsync(replica.Name, replica.Link);
        var log = await LogAsync(master, "log", "head");
        Assert.True((await master.Volume.AppendAsync(log, Data(1), null, true, Cancellation)).IsOk);
        await master.Copy.Replication.DrainAsync(1, null, Cancellation).WaitAsync(TimeSpan.FromSeconds(120), Cancellation);
        using var session = replica.OpenSession();
        var first = (await session.ListRecordsAsync(log, 0, 10, Cancellation)).Value;
        Assert.Equal((await master.Volume.ListRecordsAsync(log, 0, 10, Cancellation)).Value, first);
        Assert.Equal(Errno.EROFS, (await session.AppendAsync(log, Data(2), null, false, Cancellation)).Error);
        var second = session.WaitForRecordAsync(log, 1, Cancellation).AsTask();
        Assert.False(second.IsCompleted);
        Assert.True((await master.Volume.AppendAsync(log, Data(2), null, true, Cancellation)).IsOk);
        Assert.Equal(Errno.None, (await second.WaitAsync(TimeSpan.FromSeconds(60), Cancellation)).Error);
        var record = (await session.ListRecordsAsync(log, 1, 10, Cancellation)).Value.Single();
        byte[] read = new byte[record.Length];
        Assert.Equal(read.Length, (await session.ReadAsync(log, record.Offset, read, Cancellation)).Value);
        Assert.Equal(Data(2), read);
    }

    private static byte[] Data(int number) => Encoding.ASCII.GetBytes($"record {number} {new string('.', number % 97)}\n");

    private static async Task<InodeNumber> LogAsync(VolumeFixture volume, string name, string head)
    {
        var log = await volume.CreateFileAsync(name);
        if (head.Length > 0)
            await volume.WriteAsync(log, 0, Encoding.ASCII.GetBytes(head));
        await FlagAsync(volume, log, true);
        return log;
    }

    private static async Task FlagAsync(VolumeFixture volume, InodeNumber inode, bool on)
    {
        var set = await volume.Volume.SetXattrAsync(inode, OwnXattr.AppendOnly.ToArray(), on ? "1"u8.ToArray() : "0"u8.ToArray(), default, Cancellation);
        Assert.Equal(Errno.None, set.Error);
    }

    private static async Task<List<RecordInfo>> AllAsync(LocalSession session, InodeNumber inode)
    {
        var all = new List<RecordInfo>();
        while ((await session.ListRecordsAsync(inode, all.Count, 300, Cancellation)).Value is { Length: > 0 } page)
            all.AddRange(page);
        return all;
    }
}
