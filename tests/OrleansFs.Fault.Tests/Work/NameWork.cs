using System.Globalization;
using System.Text;
using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>Names and attributes only: a small tree of folders, empty files, links and symbolic links that changes all the time.</summary>
/// <remarks>After a crash the tree is as some one step left it, the last sync or a later one: mutations of names are committed in their order.</remarks>
/// <param name="syncEvery">Steps for each sync, on the average.</param>
internal sealed class NameWork(int syncEvery) : IWork
{
    public const string AttributeName = "user.step";

    /// <summary>Modify times below it, in seconds, are set by a step; others are the clock's.</summary>
    public const long TimeLimit = 1_000_000_000;

    private const int MostNames = 40;

    public void Run(WorkContext context)
    {
        var tree = new NameTree();
        context.Log.Found(0, "base");
        using var folder = Sys.Open(context.Folder, Sys.O_RDONLY | Sys.O_DIRECTORY);
        while (!context.Stop.IsCancellationRequested)
        {
            if (context.Random.Next(syncEvery) == 0)
            {
                context.Log.Do("s", _ => folder.Sync());
                continue;
            }
            string words = Choose(context.Random, tree, context.Log.Number + 1);
            string[] w = words.Split(' ');
            context.Log.Do(words, _ => Act(context, w));
            tree.Apply(new Op(0, 0, w, IsDone: true));
        }
    }

    public void Verify(string folder, int family, History history, Findings findings)
    {
        findings.Checked++;
        string found = Directory.Exists(folder) ? NameTree.Describe(folder) : "";
        int synced = history.LastSync(op => op.Verb is "s" or "base") ?? -1;
        var tree = new NameTree();
        string atSync = synced < 0 ? tree.Describe() : "";
        bool matched = synced < 0 && atSync == found;
        int at = -1;
        int done = -1;
        for (int i = 0; i < history.Ops.Count; i++)
        {
            tree.Apply(history.Ops[i]);
            done = history.Ops[i].IsDone ? i : done;
            if (i < synced)
                continue;
            string text = tree.Describe();
            if (i == synced)
                atSync = text;
            if (text == found)
                (matched, at) = (true, i);
        }
        if (!matched)
        {
            findings.Violation($"{folder}: the tree is not as any one step since the last sync ({synced}, of {history.Ops.Count}) left it. Against the sync: {Difference(atSync, found)}; "
                + $"against the end: {Difference(tree.Describe(), found)}");
        }
        findings.LostSteps += matched && at < done ? 1 : 0;
    }

    private static string Difference(string expected, string found)
    {
        string[] a = expected.Split('\n');
        string[] b = found.Split('\n');
        return $"missing [{string.Join("; ", a.Except(b).Take(8))}], not expected [{string.Join("; ", b.Except(a).Take(8))}]";
    }

    private static string Choose(Random random, NameTree tree, int number)
    {
        var folders = tree.Folders.ToList();
        var paths = tree.Paths.ToList();
        while (true)
        {
            string parent = folders[random.Next(folders.Count)];
            string fresh = parent.Length == 0 ? $"n{number}" : $"{parent}/n{number}";
            string path = paths.Count == 0 ? "" : paths[random.Next(paths.Count)];
            string other = paths.Count == 0 ? "" : paths[random.Next(paths.Count)];
            bool grows = paths.Count < MostNames;
            int kind = random.Next(100);
            if (kind < 30 && grows)
                return kind < 12 && parent.Count(c => c == '/') < 4 ? $"mkdir {fresh}" : kind < 22 ? $"create {fresh}" : $"symlink {fresh} to{number}";
            if (path.Length == 0 || kind < 30)
            {
                if (!grows && tree.KindOf(path) != 'd')
                    return $"unlink {path}";
                continue;
            }
            char what = tree.KindOf(path);
            bool inside = fresh.StartsWith(path + "/", StringComparison.Ordinal);
            switch (kind)
            {
                case < 40 when what == 'f' && grows:
                    return $"link {path} {fresh}";
                case < 55 when !inside:
                    return $"rename {path} {fresh}";
                case < 63 when what != 'd' && other != path && tree.KindOf(other) != 'd':
                    return what == 'f' && tree.KindOf(other) == 'f' ? $"chmod {path} {random.Next(0x200)}" : $"rename {path} {other}";
                case < 69 when other != path && !other.StartsWith(path + "/", StringComparison.Ordinal) && !path.StartsWith(other + "/", StringComparison.Ordinal):
                    return $"exchange {path} {other}";
                case < 84:
                    return what != 'd' ? $"unlink {path}" : tree.IsEmpty(path) ? $"rmdir {path}" : $"chmod {path} {0x1C0 | random.Next(0x40)}";
                case < 90 when what == 'f':
                    return $"chmod {path} {random.Next(0x200)}";
                case < 95 when what == 'f':
                    return $"settime {path} {number}";
                case < 100 when what != 'l':
                    return $"setxattr {path} {number}";
            }
        }
    }

    private static Errno Act(WorkContext context, string[] w)
    {
        string path = context.Path(w[1]);
        return w[0] switch
        {
            "mkdir" => Sys.Mkdir(path, 0x1C0),
            "create" => Sys.Create(path, 0x180),
            "symlink" => Sys.Symlink(w[2], path),
            "link" => Sys.Link(path, context.Path(w[2])),
            "unlink" => Sys.Unlink(path),
            "rmdir" => Sys.Rmdir(path),
            "chmod" => Sys.Chmod(path, uint.Parse(w[2], CultureInfo.InvariantCulture)),
            "setxattr" => Sys.SetXattr(path, AttributeName, Encoding.ASCII.GetBytes(w[2])),
            "settime" => Sys.SetTimes(path, null, Timestamp.From(int.Parse(w[2], CultureInfo.InvariantCulture), 0)),
            "rename" => Sys.Rename(path, context.Path(w[2])),
            "exchange" => Sys.Rename(path, context.Path(w[2]), RenameFlags.Exchange),
            _ => throw new ArgumentException(w[0]),
        };
    }
}
