using System.Globalization;
using Xunit;

namespace OrleansFs.Fault.Tests.Machine;

/// <summary>Another program, which has much that it has written and not synced, on another disk: then a volume syncs its blocks by themselves, and not with all of their file system.</summary>
internal sealed class Neighbour : IAsyncDisposable
{
    private const int Bytes = 128 << 20;

    /// <summary>What the system has to write while it is at work, at least, for much of the time: twice what a volume asks for.</summary>
    private const long Unwritten = 64 << 20;

    private readonly CancellationTokenSource _ended = new();
    private readonly Task _writing;
    private int _looks;
    private int _foundMuch;

    private Neighbour(string file) => _writing = WriteAsync(file);

    public static Neighbour Start(string file) => new(file);

    /// <summary>Fails the test where the system had written it all too soon for this to prove anything.</summary>
    public void ExpectMuch() => Assert.True(_foundMuch > _looks / 4, $"of {_looks} looks {_foundMuch} found that another program had much to write: this run proves nothing");

    public async ValueTask DisposeAsync()
    {
        await _ended.CancelAsync();
        await _writing;
        _ended.Dispose();
    }

    private async Task WriteAsync(string file)
    {
        byte[] content = new byte[Bytes];
        // Written over in its place: ext4 writes at once what takes the place of a truncated file.
        using var handle = File.OpenHandle(file, FileMode.CreateNew, FileAccess.Write);
        while (!_ended.IsCancellationRequested)
        {
            _looks++;
            if (LeftToWrite() >= Unwritten)
                _foundMuch++;
            else
                RandomAccess.Write(handle, content, 0);
            await Task.Delay(Limits.Look, CancellationToken.None);
        }
    }

    /// <summary>Bytes that the system has to write, or is writing.</summary>
    private static long LeftToWrite() =>
        File.ReadLines("/proc/meminfo").Where(l => l.StartsWith("Dirty:", StringComparison.Ordinal) || l.StartsWith("Writeback:", StringComparison.Ordinal))
            .Sum(l => long.Parse(l.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) << 10);
}
