using System.Buffers.Binary;
using System.Globalization;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>A log file: bytes are only ever added at the end. After a crash it is a beginning of what was written, as long as its last sync at least. Never a size without its data.</summary>
internal sealed class AppendWork : IWork
{
    private const string Name = "log";

    /// <summary>Bytes after which the log is full.</summary>
    private const long MaxLength = 24 << 20;

    public void Run(WorkContext context)
    {
        using var file = Sys.Open(context.Path(Name), Sys.O_RDWR | Sys.O_CREAT | Sys.O_APPEND);
        long length = Sys.Stat(context.Path(Name)).Size;
        context.Log.Found(0, $"base {length}");
        while (!context.Stop.IsCancellationRequested && length < MaxLength)
        {
            if (context.Random.Next(8) == 0)
            {
                context.Log.Do("s", _ => context.Random.Next(2) == 0 ? file.Sync() : file.SyncData());
                continue;
            }
            int count = context.Random.Next(10) switch { < 4 => context.Random.Next(1, 200), < 9 => context.Random.Next(200, 20_000), _ => context.Random.Next(20_000, 300_000) };
            byte[] data = new byte[count];
            Fill(data, context.Family, length);
            context.Log.Do($"a {count}", _ => file.Append(data));
            length += count;
        }
    }

    public void Verify(string folder, int family, History history, Findings findings)
    {
        string path = Path.Combine(folder, Name);
        long synced = 0;
        long most = 0;
        long done = 0;
        foreach (var op in history.Ops)
        {
            most += op.Verb == "s" ? 0 : long.Parse(op.Words[1], CultureInfo.InvariantCulture);
            done = op.IsDone ? most : done;
            if (op.IsDone && op.Verb is "s" or "base")
                synced = most;
        }
        findings.Checked++;
        byte[] content = File.Exists(path) ? File.ReadAllBytes(path) : [];
        if (content.Length < synced)
            findings.Violation($"{path}: {content.Length} bytes, but {synced} were synced");
        if (content.Length > most)
            findings.Violation($"{path}: {content.Length} bytes, but only {most} were ever written");
        byte[] expected = new byte[content.Length];
        Fill(expected, family, 0);
        int equal = content.AsSpan().CommonPrefixLength(expected);
        if (equal < content.Length)
            findings.Violation($"{path}: of {content.Length} bytes ({synced} synced, {most} written) those from {equal} on are not what was appended: {Cell.Describe(content.AsSpan(equal))}");
        findings.LostSteps += content.Length < done ? 1 : 0;
    }

    /// <summary>The bytes of the stream from an offset on: each 8 follow from their place.</summary>
    private static void Fill(Span<byte> destination, int family, long offset)
    {
        Span<byte> word = stackalloc byte[8];
        for (int i = 0; i < destination.Length;)
        {
            long at = offset + i;
            BinaryPrimitives.WriteUInt64LittleEndian(word, Cell.Mix((ulong)family << 48 ^ (ulong)(at / 8)));
            int within = (int)(at % 8);
            int n = Math.Min(8 - within, destination.Length - i);
            word.Slice(within, n).CopyTo(destination[i..]);
            i += n;
        }
    }
}
