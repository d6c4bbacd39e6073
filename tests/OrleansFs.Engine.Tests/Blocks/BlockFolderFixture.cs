using System.Collections.Concurrent;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Blocks;

/// <summary>A data folder on the local disk and the block files in it. Fails a test that leaks a descriptor, or that logs a warning it did not announce.</summary>
internal sealed class BlockFolderFixture : IDisposable
{
    private readonly RecordingLogger _log = new();
    private readonly string? _mounted;
    private BlockFiles? _files;

    public BlockFolderFixture(string? path = null, bool isMount = false)
    {
        Folder = path ?? Directory.CreateTempSubdirectory("ofs-blocks-").FullName;
        _mounted = isMount ? Folder : null;
    }

    public string Folder { get; }

    public TimeProvider Time { get; set; } = TimeProvider.System;

    public ILogger<BlockStore> Log => _log;

    public BlockFiles Files => _files ??= BlockFiles.Open(Folder, Time, _log);

    /// <summary>Warnings and errors that the test expects are taken here.</summary>
    public IReadOnlyList<string> TakeLog() => _log.Take();

    public BlockFiles OpenWith(Func<int, BlockDisk> disk) => _files = BlockFiles.Open(Folder, Time, _log, disk: disk);

    public BlockStore OpenStore(long cacheBytes) => BlockStore.Open(Folder, cacheBytes, Time, _log);

    public void Reopen()
    {
        _files?.Dispose();
        _files = null;
    }

    public string PathOf(BlockHash hash)
    {
        string text = hash.ToString();
        return Path.Combine(Folder, "blocks", text[..2], text);
    }

    public static byte[] Content(int seed, int length)
    {
        byte[] bytes = new byte[length];
        new Random(seed).NextBytes(bytes);
        return bytes;
    }

    /// <summary>Content that LZ4 makes much smaller.</summary>
    public static byte[] Text(int seed, int length)
    {
        var random = new Random(seed);
        string[] words = [.. Enumerable.Range(0, 50).Select(_ => new string([.. Enumerable.Range(0, random.Next(2, 9)).Select(_ => (char)random.Next('a', 'z'))]))];
        var text = new System.Text.StringBuilder();
        while (text.Length < length)
            text.Append(words[random.Next(words.Length)]).Append(' ');
        return System.Text.Encoding.ASCII.GetBytes(text.ToString())[..length];
    }

    public (BlockHash Hash, StoredBlock Stored) Write(byte[] content)
    {
        var hash = BlockHash.Of(content);
        return (hash, Files.Write(hash, content));
    }

    public void Dispose()
    {
        _files?.Dispose();
        if (_mounted is null)
            Directory.Delete(Folder, recursive: true);
        // A test that fails for another reason has not taken the log that it expected, and that reason is the one to show.
        if (TestContext.Current.TestState?.Result is not TestResult.Failed)
            Assert.Empty(_log.Take());
        // Only this fixture's files are under the folder, so other tests that run at the same time do not disturb.
        Assert.DoesNotContain(OpenPaths(), p => p.StartsWith(Folder, StringComparison.Ordinal));
    }

    /// <summary>Files of blocks that are open.</summary>
    public int OpenBlocks() => OpenPaths().Count(p => p.StartsWith(Folder, StringComparison.Ordinal) && Path.GetFileName(p).Length == 64);

    private static List<string> OpenPaths() =>
        [.. Directory.GetFileSystemEntries("/proc/self/fd").Select(f => new FileInfo(f).LinkTarget).Where(t => t is not null).Select(t => t!.Replace(" (deleted)", "", StringComparison.Ordinal))];

    private sealed class RecordingLogger : ILogger<BlockStore>
    {
        private readonly ConcurrentQueue<string> _messages = new();

        public List<string> Take()
        {
            var taken = new List<string>();
            while (_messages.TryDequeue(out string? message))
                taken.Add(message);
            return taken;
        }

        public IDisposable? BeginScope<TState>(TState state)
            where TState : notnull => null;

        public bool IsEnabled(LogLevel logLevel) => logLevel >= LogLevel.Warning;

        public void Log<TState>(LogLevel logLevel, EventId eventId, TState state, Exception? exception, Func<TState, Exception?, string> formatter)
        {
            if (IsEnabled(logLevel))
                _messages.Enqueue($"{logLevel}: {formatter(state, exception)} {exception}");
        }
    }
}
