using System.Text;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>Records appended over the network while the silo is killed again and again.</summary>
public sealed class RecordTests : IDisposable
{
    private const int Kills = 4;
    private readonly TestFolder _folder = new();

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public void Dispose() => _folder.Dispose();

    /// <summary>Each append has one record, wherever the kill met it: before it, after it, or between it and its answer.</summary>
    [Fact]
    public async Task Every_append_is_one_record_under_kills_of_the_silo()
    {
        string cluster = $"sqlite:{_folder.Path}/cluster.db", data = $"{_folder.Path}/data";
        string[] more = ["--cluster", cluster];
        var silo = await SiloProcess.StartAsync(data, more);
        try
        {
            await using var connection = await VolumeConnection.ConnectAsync(new VolumeConnectionOptions { Cluster = ClusterConnection.Parse(cluster), ConnectTimeout = TimeSpan.FromMinutes(1) }, Cancellation);
            await using var first = await AttachAsync(connection);
            await using var second = await AttachAsync(connection);
            var made = await first.CreateAsync(InodeNumber.Root, "log"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, default, Cancellation);
            var log = made.Value.Inode;
            Assert.True((await first.SetXattrAsync(log, OwnXattr.AppendOnly.ToArray(), "1"u8.ToArray(), default, Cancellation)).IsOk);
            using var stop = CancellationTokenSource.CreateLinkedTokenSource(Cancellation);
            Task<List<RecordInfo>>[] writers = [.. new[] { first, second }.SelectMany((access, a) => Enumerable.Range(0, 2).Select(w => AppendUntilAsync(access, log, $"{a}{w}", stop.Token)))];
            int seen = 0;
            for (int kill = 0; kill < Kills; kill++)
            {
                // Not before something was appended since the last: or the kill would prove nothing.
                Assert.True((await second.WaitForRecordAsync(log, seen + 20, Cancellation)).IsOk);
                await silo.KillAsync();
                await silo.DisposeAsync();
                silo = await SiloProcess.StartAsync(data, more);
                seen = (await AllAsync(second, log)).Count;
            }
            await stop.CancelAsync();
            var answered = await Task.WhenAll(writers);
            var records = await AllAsync(first, log);
            Assert.Equal(answered.Sum(a => a.Count), records.Count);
            Assert.Equal(answered.SelectMany(a => a).OrderBy(r => r.Sequence), records);
            byte[] content = new byte[records[^1].Offset + records[^1].Length + 1];
            Assert.Equal(content.Length - 1, (await first.ReadAsync(log, 0, content, Cancellation)).Value);
            for (int w = 0; w < writers.Length; w++)
            {
                for (int i = 0; i < answered[w].Count; i++)
                {
                    var record = answered[w][i];
                    Assert.Equal(Data($"{w / 2}{w % 2}", i), Encoding.ASCII.GetString(content, (int)record.Offset, (int)record.Length));
                }
            }
        }
        finally
        {
            await silo.DisposeAsync();
        }
    }

    private static string Data(string writer, int number) => $"writer {writer} record {number} {new string('.', number % 511)}\n";

    private static async Task<List<RecordInfo>> AppendUntilAsync(GrainVolumeAccess access, InodeNumber log, string writer, CancellationToken stop)
    {
        var answered = new List<RecordInfo>();
        while (!stop.IsCancellationRequested)
        {
            var result = await access.AppendAsync(log, Encoding.ASCII.GetBytes(Data(writer, answered.Count)), null, durable: answered.Count % 3 == 0, CancellationToken.None);
            Assert.Equal(Errno.None, result.Error);
            answered.Add(result.Value);
        }
        return answered;
    }

    private static async Task<List<RecordInfo>> AllAsync(GrainVolumeAccess access, InodeNumber log)
    {
        var all = new List<RecordInfo>();
        while ((await access.ListRecordsAsync(log, all.Count, RecordLimits.MaxListed, Cancellation)).Value is { Length: > 0 } page)
            all.AddRange(page);
        return all;
    }

    private static Task<GrainVolumeAccess> AttachAsync(VolumeConnection connection) =>
        GrainVolumeAccess.AttachAsync(connection, CopyName.Parse("master"), new Holder(), new RemoteVolumeOptions { Client = "test" }, Cancellation);
}
