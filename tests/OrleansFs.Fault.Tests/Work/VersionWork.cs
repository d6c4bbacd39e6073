using System.Globalization;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>Files that are versions of each other, kept side by side: blocks of the one can be made of blocks of the other. They are read again and again, and removed, the first version before the others too.</summary>
/// <remarks>
/// The name says the content: <c>vBASE-EDIT</c> is a random text with some edits. Steps: <c>w NAME</c> a file, synced, its name too; <c>r NAME</c> read from the volume often enough to be worth a file of its own, and compared;
/// <c>u NAME</c> unlinked, synced. After a crash what was done is there; the file of the step that was cut short is whole or is not there.
/// </remarks>
internal sealed class VersionWork : IWork
{
    private const int Kept = 14;
    private const int BaseLength = 512 << 10;
    private const int ReadsInARow = 4;
    private const string Temporary = "temporary.";

    public void Run(WorkContext context)
    {
        var there = Found(context.Folder);
        context.Log.Found(there.Select(NumberOf).Append(0).Max(), $"base {string.Join(',', there)}");
        using var folder = Sys.Open(context.Folder, Sys.O_RDONLY | Sys.O_DIRECTORY);
        while (!context.Stop.IsCancellationRequested)
        {
            int kind = context.Random.Next(100);
            string? some = there.Count == 0 ? null : there[context.Random.Next(there.Count)];
            if (some is not null && kind < 35)
            {
                context.Log.Do($"r {some}", _ => Read(context, some));
            }
            else if (some is not null && (there.Count >= Kept || kind < 40))
            {
                context.Log.Do($"u {some}", _ => Sys.Unlink(context.Path(some)) is var error and not Errno.None ? error : folder.Sync());
                there.Remove(some);
            }
            else
            {
                // The step's number is of no other content.
                int number = context.Log.Number + 1;
                string name = some is null || kind < 55 ? $"v{number}-0" : $"{some.Split('-')[0]}-{number}";
                context.Log.Do($"w {name}", _ => Write(context, folder, name));
                there.Add(name);
            }
        }
    }

    public void Verify(string folder, int family, History history, Findings findings)
    {
        findings.Checked++;
        var expected = new HashSet<string>();
        string? doubtful = null;
        foreach (var op in history.Ops)
        {
            if (op is { Verb: "base", Words: [_, { Length: > 0 } list] })
                expected.UnionWith(list.Split(','));
            else if (!op.IsDone)
                doubtful = op.Verb is "w" or "u" ? op.Words[1] : null;
            else if (op.Verb == "w")
                expected.Add(op.Words[1]);
            else if (op.Verb == "u")
                expected.Remove(op.Words[1]);
        }
        var found = Directory.Exists(folder) ? Found(folder) : [];
        foreach (string name in expected.Except(found).Where(n => n != doubtful))
            findings.Violation($"{folder}/{name} was synced and is not there");
        foreach (string name in found)
        {
            if (name != doubtful && !expected.Contains(name))
                findings.Violation($"{folder}/{name} is there and was never made, or was removed");
            byte[] content = File.ReadAllBytes(Path.Combine(folder, name)), wanted = Content(family, name);
            if (!content.AsSpan().SequenceEqual(wanted))
                findings.Violation($"{folder}/{name} has {content.Length} bytes, {wanted.Length} were written, and from byte {content.AsSpan().CommonPrefixLength(wanted)} on they differ");
        }
    }

    /// <summary>What a name says.</summary>
    private static byte[] Content(int family, string name)
    {
        int[] numbers = Numbers(name);
        var random = new Random(family * 1_000_003 + numbers[0]);
        byte[] text = new byte[random.Next(BaseLength / 2, BaseLength)];
        random.NextBytes(text);
        if (numbers[1] == 0)
            return text;
        random = new Random(numbers[1]);
        for (int edits = random.Next(1, 5); edits > 0; edits--)
        {
            byte[] piece = new byte[random.Next(1, 300)];
            random.NextBytes(piece);
            int at = random.Next(text.Length - piece.Length);
            text = random.Next(3) switch
            {
                0 => [.. text[..at], .. piece, .. text[(at + piece.Length)..]],
                1 => [.. text[..at], .. piece, .. text[at..]],
                _ => [.. text[..at], .. text[(at + piece.Length)..]],
            };
        }
        return text;
    }

    private static Errno Write(WorkContext context, FileDescriptor folder, string name)
    {
        string path = context.Path($"{Temporary}{name}");
        var error = Sys.Open(path, Sys.O_RDWR | Sys.O_CREAT | Sys.O_TRUNC, 0x1A4, out var file);
        using (file)
        {
            if (error == Errno.None)
                error = file.Write(0, Content(context.Family, name));
            if (error == Errno.None)
                error = file.Sync();
            if (error == Errno.None)
                error = file.Close();
        }
        if (error == Errno.None)
            error = Sys.Rename(path, context.Path(name));
        return error == Errno.None ? folder.Sync() : error;
    }

    /// <summary>Past the page cache: the volume is asked each time.</summary>
    private static Errno Read(WorkContext context, string name)
    {
        byte[] wanted = Content(context.Family, name);
        byte[] found = new byte[wanted.Length + 1];
        for (int time = 0; time < ReadsInARow; time++)
        {
            var error = Sys.Open(context.Path(name), Sys.O_RDONLY | Sys.O_DIRECT, 0, out var file);
            using (file)
            {
                int length = 0;
                for (int count = 1; error == Errno.None && count > 0; length += count)
                    error = file.Read(length, found.AsSpan(length), out count);
                if (error != Errno.None)
                    return error;
                if (!found.AsSpan(0, length).SequenceEqual(wanted))
                    throw new InvalidDataException($"{name} is not what was written: {length} bytes, not {wanted.Length}, and from byte {found.AsSpan(0, length).CommonPrefixLength(wanted)} on they differ");
            }
        }
        return Errno.None;
    }

    private static List<string> Found(string folder)
    {
        var names = new List<string>();
        foreach (string path in Directory.GetFiles(folder))
        {
            if (Path.GetFileName(path) is var name && !name.StartsWith(Temporary, StringComparison.Ordinal))
                names.Add(name);
        }
        return names;
    }

    private static int[] Numbers(string name) => [.. name[1..].Split('-').Select(n => int.Parse(n, CultureInfo.InvariantCulture))];

    private static int NumberOf(string name) => Numbers(name).Max();
}
