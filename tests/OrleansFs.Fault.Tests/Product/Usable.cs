using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Fault.Tests.Product;

/// <summary>Whether a volume serves again.</summary>
internal static class Usable
{
    public static async Task WriteAgainAsync(string mountPoint, Random random)
    {
        byte[] data = new byte[1 << 20];
        random.NextBytes(data);
        string path = Path.Combine(mountPoint, "again");
        await UntilAsync(() => TryWrite(path, data), Limits.RoomAgain, "writing after deleting");
        Assert.Equal(data, await File.ReadAllBytesAsync(path));
        File.Delete(path);
    }

    /// <summary>fsync(2) of every file and directory.</summary>
    public static void SyncAll(string mountPoint)
    {
        var noLinks = new EnumerationOptions { RecurseSubdirectories = true, AttributesToSkip = FileAttributes.ReparsePoint, IgnoreInaccessible = false };
        foreach (string path in Directory.EnumerateFileSystemEntries(mountPoint, "*", noLinks).Prepend(mountPoint))
        {
            using var file = Sys.Open(path, Sys.O_RDONLY);
            // An error of before that nobody was told yet is told to who opens the file next.
            if (file.Sync() != Errno.None)
                Assert.Equal(Errno.None, file.Sync());
        }
    }

    private static bool TryWrite(string path, byte[] data)
    {
        if (Sys.Open(path, Sys.O_RDWR | Sys.O_CREAT, 0x1A4, out var file) != Errno.None)
            return false;
        using (file)
            return file.Write(0, data) == Errno.None && file.Sync() == Errno.None && file.Close() == Errno.None;
    }

    /// <param name="condition">What is waited for.</param>
    /// <param name="patience">For how long.</param>
    /// <param name="what">What it is, for who reads that it did not come.</param>
    /// <param name="seen">What there is instead.</param>
    /// <param name="pause">The longest pause between two looks, where a look is dear: a process, say. Otherwise <see cref="Limits.Look"/>.</param>
    public static async Task UntilAsync(Func<bool> condition, TimeSpan patience, string what, Func<string>? seen = null, TimeSpan? pause = null)
    {
        using var end = new CancellationTokenSource(patience);
        var next = Limits.Look;
        // Nobody tells when a collection has made room: it is asked for.
        while (!condition())
        {
            Assert.False(end.IsCancellationRequested, $"{what}: not possible within {patience}; {seen?.Invoke()}");
            await Task.Delay(next, TestContext.Current.CancellationToken);
            next = pause is { } longest ? (2 * next < longest ? 2 * next : longest) : next;
        }
    }
}
