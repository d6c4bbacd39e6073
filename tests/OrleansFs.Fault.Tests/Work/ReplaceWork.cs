using System.Globalization;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>Files that are replaced as a whole, as editors and installers do: written under another name and renamed over the old one, or linked from a file without a name, or copied from another.</summary>
/// <remarks>
/// Steps: <c>r NAME LENGTH</c> rename over a name that exists, unsynced; <c>n NAME LENGTH</c> the same, synced before; <c>l NAME LENGTH</c> O_TMPFILE, fsync, link; <c>k NAME FROM</c> copy_file_range of
/// another file, then rename; <c>u NAME</c> unlink; <c>x LENGTH</c> a file that is written after it was unlinked; <c>s</c> fsync of the folder.
/// After a crash all names are as some one step left them, the last sync or a later one, and each has the whole content of its version: names are changed in order, and with their content.
/// </remarks>
internal sealed class ReplaceWork : IWork
{
    private const int Names = 6;
    private const int PieceSize = 4096;
    private const string Temporary = "temporary.";

    public void Run(WorkContext context)
    {
        var there = new HashSet<string>();
        context.Log.Found(0, "base");
        using var folder = Sys.Open(context.Folder, Sys.O_RDONLY | Sys.O_DIRECTORY);
        while (!context.Stop.IsCancellationRequested)
        {
            string name = $"file{context.Random.Next(Names)}";
            int length = context.Random.Next(5) switch { 0 => context.Random.Next(64, 4096), < 4 => context.Random.Next(4096, 100_000), _ => context.Random.Next(100_000, 600_000) };
            int kind = context.Random.Next(100);
            if (kind < 12)
                context.Log.Do("s", _ => folder.Sync());
            else if (kind < 20 && there.Remove(name))
                context.Log.Do($"u {name}", _ => Sys.Unlink(context.Path(name)));
            else if (kind < 28)
                context.Log.Do($"x {length}", number => Unlinked(context, number, length));
            else if (kind < 40 && there.Count > 1 && there.First() is var from && from != name)
                Step(context, there, name, $"k {name} {from}", number => Copy(context, number, from, name));
            else if (there.Contains(name) && kind < 75)
                Step(context, there, name, $"r {name} {length}", number => Replace(context, number, name, length, sync: false));
            else if (kind < 85 || there.Contains(name))
                Step(context, there, name, $"n {name} {length}", number => Replace(context, number, name, length, sync: true));
            else
                Step(context, there, name, $"l {name} {length}", number => Link(context, number, name, length));
        }
    }

    public void Verify(string folder, int family, History history, Findings findings)
    {
        findings.Checked++;
        var states = new List<Dictionary<string, int>>();
        var lengths = new Dictionary<int, int>();
        var state = new Dictionary<string, int>();
        int synced = history.LastSync(op => op.Verb is "s" or "base") ?? -1;
        if (synced < 0)
            states.Add(state);
        int done = 0;
        for (int i = 0; i < history.Ops.Count; i++)
        {
            state = After(state, lengths, history.Ops[i]);
            if (i >= synced)
                states.Add(state);
            if (history.Ops[i].IsDone)
                done = states.Count - 1;
        }
        var found = new Dictionary<string, int>();
        bool whole = true;
        foreach (string path in Directory.Exists(folder) ? Directory.GetFiles(folder).Where(p => !Path.GetFileName(p).StartsWith(Temporary, StringComparison.Ordinal)) : [])
            whole &= Look(path, family, lengths, found, history, findings);
        int at = states.FindLastIndex(s => s.Count == found.Count && !s.Except(found).Any());
        if (whole && at < 0)
            findings.Violation($"{folder}: its names are not as any one step since the last sync left them: found {Text(found)}; at the last sync {Text(states[0])}; at the end {Text(states[^1])}");
        findings.LostSteps += at >= 0 && at < done ? 1 : 0;
    }

    private static void Step(WorkContext context, HashSet<string> there, string name, string words, Func<int, Errno> act)
    {
        context.Log.Do(words, act);
        there.Add(name);
    }

    private static Errno Replace(WorkContext context, int number, string name, int length, bool sync)
    {
        string temporary = context.Path($"{Temporary}{number}");
        var error = Write(context, temporary, number, length, sync);
        return error == Errno.None ? Sys.Rename(temporary, context.Path(name)) : error;
    }

    private static Errno Link(WorkContext context, int number, string name, int length)
    {
        var error = Sys.Open(context.Folder, Sys.O_RDWR | Sys.O_TMPFILE, 0x1A4, out var file);
        using (file)
        {
            if (error == Errno.None)
                error = file.Write(0, Content(context.Family, number, length));
            if (error == Errno.None)
                error = file.Sync();
            return error == Errno.None ? Sys.LinkOpen(file, context.Path(name)) : error;
        }
    }

    private static Errno Copy(WorkContext context, int number, string from, string name)
    {
        string temporary = context.Path($"{Temporary}{number}");
        var error = Sys.Open(context.Path(from), Sys.O_RDONLY, 0, out var source);
        using (source)
        {
            if (error != Errno.None)
                return error;
            error = Sys.Open(temporary, Sys.O_RDWR | Sys.O_CREAT | Sys.O_EXCL, 0x1A4, out var target);
            using (target)
            {
                long length = Sys.Stat(context.Path(from)).Size;
                for (long at = 0; error == Errno.None && at < length;)
                {
                    error = source.CopyTo(at, target, at, length - at, out long copied);
                    at += copied;
                }
                if (error == Errno.None)
                    error = target.Sync();
            }
        }
        return error == Errno.None ? Sys.Rename(temporary, context.Path(name)) : error;
    }

    private static Errno Unlinked(WorkContext context, int number, int length)
    {
        string temporary = context.Path($"{Temporary}{number}");
        var error = Sys.Open(temporary, Sys.O_RDWR | Sys.O_CREAT | Sys.O_EXCL, 0x1A4, out var file);
        using (file)
        {
            byte[] content = Content(context.Family, number, length);
            if (error == Errno.None)
                error = file.Write(0, content);
            if (error == Errno.None)
                error = Sys.Unlink(temporary);
            return error == Errno.None ? file.Write(length, content) : error;
        }
    }

    private static Errno Write(WorkContext context, string path, int number, int length, bool sync)
    {
        var error = Sys.Open(path, Sys.O_RDWR | Sys.O_CREAT | Sys.O_EXCL, 0x1A4, out var file);
        using (file)
        {
            if (error == Errno.None)
                error = file.Write(0, Content(context.Family, number, length));
            if (error == Errno.None && sync)
                error = file.Sync();
            return error == Errno.None ? file.Close() : error;
        }
    }

    private static byte[] Content(int family, int version, int length)
    {
        byte[] content = new byte[length];
        for (int at = 0; at < length; at += PieceSize)
            Cell.Fill(content.AsSpan(at, Math.Min(PieceSize, length - at)), family, version, at / PieceSize);
        return content;
    }

    private static Dictionary<string, int> After(Dictionary<string, int> state, Dictionary<int, int> lengths, Op op)
    {
        if (op.Verb is "s" or "x" or "base")
            return state;
        var after = new Dictionary<string, int>(state);
        switch (op.Verb)
        {
            case "u":
                after.Remove(op.Words[1]);
                break;
            case "k":
                after[op.Words[1]] = state[op.Words[2]];
                break;
            default:
                after[op.Words[1]] = op.Number;
                lengths[op.Number] = op.Int(2);
                break;
        }
        return after;
    }

    private static bool Look(string path, int family, Dictionary<int, int> lengths, Dictionary<string, int> found, History history, Findings findings)
    {
        byte[] content = File.ReadAllBytes(path);
        int? version = content.Length == 0 ? null : Cell.VersionOf(content.AsSpan(0, Math.Min(PieceSize, content.Length)), family, 0);
        bool whole = version is { } v && lengths.TryGetValue(v, out int length) && length == content.Length && content.AsSpan().SequenceEqual(Content(family, v, length));
        if (whole)
        {
            found[Path.GetFileName(path)] = version!.Value;
        }
        else
        {
            findings.Violation($"{path}: {content.Length} bytes, which is no version that it ever had as a whole: it begins with {Cell.Describe(content.AsSpan(0, Math.Min(PieceSize, content.Length)))}; "
                + $"its steps: {string.Join(", ", history.Ops.Where(o => o.Words.Contains(Path.GetFileName(path))).TakeLast(5).Select(o => $"{o.Number} {string.Join(' ', o.Words)}"))}");
        }
        return whole;
    }

    private static string Text(Dictionary<string, int> state) =>
        string.Join(' ', state.OrderBy(s => s.Key, StringComparer.Ordinal).Select(s => string.Create(CultureInfo.InvariantCulture, $"{s.Key}={s.Value}")));
}
