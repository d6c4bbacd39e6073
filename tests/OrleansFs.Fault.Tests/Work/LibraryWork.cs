using System.Globalization;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>Files that are replaced, read again much later, and removed: more than a small cache holds. Each step is on disk when it is done, and what is read is compared at once.</summary>
/// <remarks>
/// Steps: <c>w NAME LENGTH</c> a new content, synced, its name too; <c>r NAME</c> read and compared; <c>u NAME</c> unlinked, synced. After a crash every file is as its last step left it; the file of the step that was
/// cut short is at its old or its new state, or, where files are written in place, at any.
/// </remarks>
internal sealed class LibraryWork(bool inPlace) : IWork
{
    private const int Names = 40;
    private const int PieceSize = 4096;
    private const int MaxLength = 256 << 10;
    private const string Temporary = "temporary.";

    private readonly record struct Content(int Version, int Length);

    public void Run(WorkContext context)
    {
        var there = context.Before is { } before ? Left(context, before) : Found(context);
        using var folder = Sys.Open(context.Folder, Sys.O_RDONLY | Sys.O_DIRECTORY);
        // What is not among the found has been deleted, and is not to come back.
        if (folder.Sync() is var error and not Errno.None)
            throw new WorkEndedException(error, "the folder that was found");
        context.Log.Found(there.Values.Select(c => c.Version).Append(0).Max(), $"base {Text(there)}");
        while (!context.Stop.IsCancellationRequested)
        {
            string name = $"file{context.Random.Next(Names)}";
            int kind = context.Random.Next(100);
            if (kind < 40 && there.TryGetValue(name, out var content))
            {
                context.Log.Do($"r {name}", _ => Read(context, name, content));
            }
            else if (kind < 45 && !inPlace && there.Remove(name))
            {
                context.Log.Do($"u {name}", _ => Sys.Unlink(context.Path(name)) is var error and not Errno.None ? error : folder.Sync());
            }
            else
            {
                int length = context.Random.Next(1, MaxLength);
                context.Log.Do($"w {name} {length}", number => Write(context, folder, name, number, length));
                there[name] = new Content(context.Log.Number, length);
            }
        }
    }

    public void Verify(string folder, int family, History history, Findings findings)
    {
        findings.Checked++;
        var (expected, cutShort) = After(history);
        string? doubtful = cutShort?.Words[1];
        var touched = history.Ops.Where(o => o.Verb is "w" or "u").Select(o => o.Words[1]).ToHashSet();
        var names = Directory.Exists(folder) ? Directory.GetFiles(folder).Select(p => System.IO.Path.GetFileName(p)).Where(n => !n.StartsWith(Temporary, StringComparison.Ordinal)).ToHashSet() : [];
        foreach (string name in names.Union(expected.Keys))
        {
            if (!findings.IncludesUntouched && !touched.Contains(name) && expected.TryGetValue(name, out var untouched) && names.Contains(name) && new FileInfo(System.IO.Path.Combine(folder, name)).Length == untouched.Length)
                continue;
            byte[]? found = names.Contains(name) ? File.ReadAllBytes(System.IO.Path.Combine(folder, name)) : null;
            Content? wanted = expected.TryGetValue(name, out var content) ? content : null;
            if (Is(found, wanted, family) || (name == doubtful && (inPlace || Is(found, After(cutShort!), family))))
                continue;
            findings.Violation($"{folder}/{name}: it should be {Text(wanted)} and is {(found is null ? "not there" : $"{found.Length} bytes, which begin with {Cell.Describe(found.AsSpan(0, Math.Min(PieceSize, found.Length)))}")}; "
                + $"its steps: {string.Join(", ", history.Ops.Where(o => o.Words.Contains(name)).TakeLast(5).Select(o => $"{o.Number} {string.Join(' ', o.Words)}{(o.IsDone ? "" : " (cut short)")}"))}");
        }
    }

    private Errno Write(WorkContext context, FileDescriptor folder, string name, int number, int length)
    {
        string path = context.Path(inPlace ? name : $"{Temporary}{number}");
        var error = Sys.Open(path, Sys.O_RDWR | Sys.O_CREAT | Sys.O_TRUNC, 0x1A4, out var file);
        using (file)
        {
            if (error == Errno.None)
                error = file.Write(0, Bytes(context.Family, number, length));
            if (error == Errno.None)
                error = file.Sync();
            if (error == Errno.None)
                error = file.Close();
        }
        if (error == Errno.None && !inPlace)
            error = Sys.Rename(path, context.Path(name));
        return error == Errno.None ? folder.Sync() : error;
    }

    private static Errno Read(WorkContext context, string name, Content content)
    {
        var error = Sys.Open(context.Path(name), Sys.O_RDONLY, 0, out var file);
        using (file)
        {
            if (error != Errno.None)
                return error;
            byte[] found = new byte[content.Length];
            for (int at = 0; at < found.Length;)
            {
                error = file.Read(at, found.AsSpan(at), out int count);
                if (error != Errno.None)
                    return error;
                if (count == 0)
                    throw new InvalidDataException($"{name} ends at {at}, not at {content.Length}");
                at += count;
            }
            byte[] expected = Bytes(context.Family, content.Version, content.Length);
            int equal = found.AsSpan().CommonPrefixLength(expected);
            return equal == found.Length ? Errno.None : throw new InvalidDataException($"{name} is not what was written, from byte {equal} on: {Cell.Describe(found.AsSpan(equal / PieceSize * PieceSize))}");
        }
    }

    /// <summary>The state after the steps that were done, and the step that was cut short, where it would have changed anything.</summary>
    private static (Dictionary<string, Content> State, Op? CutShort) After(History history)
    {
        var state = new Dictionary<string, Content>();
        foreach (var op in history.Ops.Where(o => o.IsDone))
            Apply(state, op);
        return (state, history.Ops is [.., { IsDone: false, Verb: "w" or "u" } last] ? last : null);
    }

    /// <summary>What the worker before left: that has been verified, so that only the file which it was at is looked at.</summary>
    private Dictionary<string, Content> Left(WorkContext context, History before)
    {
        foreach (string path in Directory.GetFiles(context.Folder, $"{Temporary}*"))
            File.Delete(path);
        var (there, cutShort) = After(before);
        if (cutShort is not null)
        {
            string name = cutShort.Words[1];
            there.Remove(name);
            if (File.Exists(context.Path(name)) && WholeIn(context.Path(name), context.Family) is { } content)
                there[name] = content;
        }
        return there;
    }

    private Dictionary<string, Content> Found(WorkContext context)
    {
        var there = new Dictionary<string, Content>();
        foreach (string path in Directory.GetFiles(context.Folder))
        {
            string name = System.IO.Path.GetFileName(path);
            if (name.StartsWith(Temporary, StringComparison.Ordinal))
            {
                File.Delete(path);
                continue;
            }
            if (WholeIn(path, context.Family) is { } content)
                there[name] = content;
        }
        return there;
    }

    /// <summary>What a file holds; null for one that was cut short in place, which is deleted: nothing says what it should be.</summary>
    private Content? WholeIn(string path, int family)
    {
        byte[] found = File.ReadAllBytes(path);
        if (found.Length > 0 && Cell.VersionOf(found.AsSpan(0, Math.Min(PieceSize, found.Length)), family, 0) is { } version and > 0 && Is(found, new Content(version, found.Length), family))
            return new Content(version, found.Length);
        if (inPlace)
            File.Delete(path);
        return null;
    }

    private static void Apply(Dictionary<string, Content> state, Op op)
    {
        switch (op.Verb)
        {
            case "base" when op.Words is [_, { Length: > 0 } list]:
                foreach (string[] file in list.Split(',').Select(f => f.Split('=', ':')))
                    state[file[0]] = new Content(int.Parse(file[1], CultureInfo.InvariantCulture), int.Parse(file[2], CultureInfo.InvariantCulture));
                break;
            case "w":
                state[op.Words[1]] = After(op)!.Value;
                break;
            case "u":
                state.Remove(op.Words[1]);
                break;
            default:
                break;
        }
    }

    private static Content? After(Op op) => op.Verb == "w" ? new Content(op.Number, op.Int(2)) : null;

    private static bool Is(byte[]? found, Content? wanted, int family) =>
        wanted is not { } content ? found is null : found is not null && found.Length == content.Length && found.AsSpan().SequenceEqual(Bytes(family, content.Version, content.Length));

    private static byte[] Bytes(int family, int version, int length)
    {
        byte[] content = new byte[length];
        for (int at = 0; at < length; at += PieceSize)
            Cell.Fill(content.AsSpan(at, Math.Min(PieceSize, length - at)), family, version, at / PieceSize);
        return content;
    }

    private static string Text(Dictionary<string, Content> files) =>
        string.Join(',', files.Select(f => string.Create(CultureInfo.InvariantCulture, $"{f.Key}={f.Value.Version}:{f.Value.Length}")));

    private static string Text(Content? content) => content is { } c ? $"version {c.Version} of {c.Length} bytes" : "absent";
}
