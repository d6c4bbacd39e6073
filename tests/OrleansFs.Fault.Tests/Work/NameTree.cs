using System.Globalization;
using System.Text;
using OrleansFs.Mounted.Tests.Posix;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>A tree of names as it should be, and its text, which is equal for equal trees. Paths are relative, "" is the top.</summary>
internal sealed class NameTree
{
    private readonly SortedDictionary<string, Node> _nodes = new(StringComparer.Ordinal);

    public IReadOnlyCollection<string> Paths => _nodes.Keys;

    public IEnumerable<string> Folders => _nodes.Where(n => n.Value.Kind == 'd').Select(n => n.Key).Prepend("");

    public bool Has(string path) => _nodes.ContainsKey(path);

    public char KindOf(string path) => _nodes[path].Kind;

    public bool IsEmpty(string folder) => !_nodes.Keys.Any(p => p.StartsWith(folder + "/", StringComparison.Ordinal));

    /// <summary>Applies a step of <see cref="NameWork"/>.</summary>
    public void Apply(Op op)
    {
        string[] w = op.Words;
        switch (w[0])
        {
            case "mkdir":
                _nodes[w[1]] = new Node('d') { Mode = 0x1C0 };
                break;
            case "create":
                _nodes[w[1]] = new Node('f') { Mode = 0x180 };
                break;
            case "symlink":
                _nodes[w[1]] = new Node('l') { Mode = 0x1FF, Text = w[2] };
                break;
            case "link":
                _nodes[w[2]] = _nodes[w[1]];
                break;
            case "unlink" or "rmdir":
                _nodes.Remove(w[1]);
                break;
            case "chmod":
                _nodes[w[1]].Mode = uint.Parse(w[2], CultureInfo.InvariantCulture);
                break;
            case "setxattr":
                _nodes[w[1]].Attribute = w[2];
                break;
            case "settime":
                _nodes[w[1]].Time = w[2];
                break;
            case "rename":
                Move(w[1], w[2]);
                break;
            case "exchange":
                Move(w[1], "\u0001");
                Move(w[2], w[1]);
                Move("\u0001", w[2]);
                break;
        }
    }

    public string Describe()
    {
        var text = new StringBuilder();
        var first = new Dictionary<Node, string>(ReferenceEqualityComparer.Instance);
        foreach (var (path, node) in _nodes)
        {
            first.TryAdd(node, path);
            int links = node.Kind == 'd' ? 0 : _nodes.Values.Count(n => ReferenceEquals(n, node));
            AppendLine(text, path, node.Kind, node.Mode, links, first[node], node.Text, node.Attribute, node.Time);
        }
        return text.ToString();
    }

    /// <summary>The text of a tree on a file system.</summary>
    public static string Describe(string root)
    {
        var lines = new List<(string Path, FileStatus Status, string Target, string Attribute)>();
        Collect(root, "", lines);
        var text = new StringBuilder();
        var first = new Dictionary<ulong, string>();
        foreach (var (path, status, target, attribute) in lines.OrderBy(l => l.Path, StringComparer.Ordinal))
        {
            first.TryAdd(status.Inode, path);
            char kind = Kind(status.Mode);
            string time = kind == 'f' && status.Modify.Seconds < NameWork.TimeLimit ? status.Modify.Seconds.ToString(CultureInfo.InvariantCulture) : "-";
            AppendLine(text, path, kind, status.Mode & 0xFFF, kind == 'd' ? 0 : (int)status.Links, first[status.Inode], target, attribute, time);
        }
        return text.ToString();
    }

    private static void Collect(string root, string folder, List<(string, FileStatus, string, string)> lines)
    {
        foreach (string name in Sys.List(Path.Combine(root, folder)))
        {
            string path = folder.Length == 0 ? name : $"{folder}/{name}";
            string full = Path.Combine(root, path);
            var status = Sys.Stat(full);
            string target = "-";
            if (Kind(status.Mode) == 'l')
                Sys.ReadLink(full, out target);
            Sys.GetXattr(full, NameWork.AttributeName, out byte[] value);
            lines.Add((path, status, target, value.Length > 0 ? Encoding.ASCII.GetString(value) : "-"));
            if (Kind(status.Mode) == 'd')
                Collect(root, path, lines);
        }
    }

    private static char Kind(uint mode) => (mode & 0xF000) switch { 0x4000 => 'd', 0xA000 => 'l', 0x8000 => 'f', _ => '?' };

    private static void AppendLine(StringBuilder text, string path, char kind, uint mode, int links, string first, string target, string attribute, string time) =>
        text.Append(CultureInfo.InvariantCulture, $"{path} {kind} {mode:X} links {links} same as {first} target {target} attribute {attribute} time {time}\n");

    private void Move(string from, string to)
    {
        foreach (string path in _nodes.Keys.Where(p => p == from || p.StartsWith(from + "/", StringComparison.Ordinal)).ToList())
        {
            _nodes.Remove(path, out var node);
            _nodes[to + path[from.Length..]] = node!;
        }
    }

    private sealed class Node(char kind)
    {
        public char Kind => kind;

        public uint Mode { get; set; }

        public string Text { get; init; } = "-";

        public string Attribute { get; set; } = "-";

        public string Time { get; set; } = "-";
    }
}
