using System.Globalization;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>Plays the steps of a <see cref="CellWork"/> again and compares what they made with what is found.</summary>
internal sealed class CellVerification
{
    private readonly string _path;
    private readonly int _family;
    private readonly int _cellSize;
    private readonly CellAccess _access;
    private readonly Findings _findings;

    /// <summary>The file after the last sync, and after each step since: the version of each cell.</summary>
    private readonly List<int[]> _states = [];

    private readonly List<Op> _steps = [];
    private readonly int[] _done;

    public CellVerification(string path, History history, int family, int cellSize, CellAccess access, Findings findings)
    {
        _path = path;
        _family = family;
        _cellSize = cellSize;
        _access = access;
        _findings = findings;
        int synced = history.LastSync(op => op.Verb is "s" or "base") ?? -1;
        int[] state = [];
        _done = state;
        if (synced < 0)
            _states.Add(state);
        for (int i = 0; i < history.Ops.Count; i++)
        {
            state = After(state, history.Ops[i]);
            if (i >= synced)
            {
                _states.Add(state);
                _steps.Add(history.Ops[i]);
            }
            if (history.Ops[i].IsDone)
                _done = state;
        }
    }

    public void Verify(ReadOnlySpan<byte> content)
    {
        int least = _states.Min(s => s.Length);
        int most = _states.Max(s => s.Length);
        int size = content.Length / _cellSize;
        if (content.Length % _cellSize != 0 || size < least || size > most)
            Violation($"{content.Length} bytes; since the last sync it had from {(long)least * _cellSize} to {(long)most * _cellSize}");
        int[] found = new int[size];
        bool whole = true;
        for (int i = 0; i < size; i++)
            whole &= Look(content.Slice(i * _cellSize, _cellSize), i, out found[i]);
        if (whole && _access == CellAccess.Direct && !_states.Exists(s => s.AsSpan().SequenceEqual(found)))
            Violation($"is not as it was after any one step since the last sync: {Nearest(found)}");
        _findings.LostSteps += found.AsSpan().SequenceEqual(_done) ? 0 : 1;
    }

    private bool Look(ReadOnlySpan<byte> cell, int index, out int version)
    {
        var allowed = new SortedSet<int>(_states.Where(s => index < s.Length).Select(s => s[index]));
        // The kernel writes its pages back in any order, and where the disk is full only some: what was written behind this cell may be there, and this cell a hole.
        if (_access != CellAccess.Direct && _states.Exists(s => index >= s.Length))
            allowed.Add(0);
        int? read = Cell.VersionOf(cell, _family, index);
        version = read ?? 0;
        if (read is null && _access == CellAccess.Mapped && Cell.IsMixtureOf(cell, _family, index, allowed))
            return false;
        if (read is { } known && allowed.Contains(known))
            return true;
        Violation($"cell {index} is {(read is null ? Cell.Describe(cell) : $"version {read}")}; since the last sync it was one of [{string.Join(", ", allowed)}]");
        return false;
    }

    private string Nearest(int[] found)
    {
        int best = Enumerable.Range(0, _states.Count).MinBy(i => Difference(_states[i], found).Count);
        var difference = Difference(_states[best], found);
        return $"nearest is step {best} of {_states.Count - 1} ({string.Join(' ', _steps.ElementAtOrDefault(best)?.Words ?? ["none"])}), size {_states[best].Length}, found {found.Length}; "
            + $"{difference.Count} cells differ: {string.Join(", ", difference.Take(8).Select(i => $"{i}: {At(_states[best], i)} found {At(found, i)}"))}";
    }

    private static List<int> Difference(int[] a, int[] b) => [.. Enumerable.Range(0, Math.Max(a.Length, b.Length)).Where(i => At(a, i) != At(b, i))];

    private static int? At(int[] state, int index) => index < state.Length ? state[index] : null;

    private static int[] After(int[] state, Op op)
    {
        switch (op.Verb)
        {
            case "base":
                return op.Words is [_, { Length: > 0 } list] ? [.. list.Split(',').Select(v => int.Parse(v, CultureInfo.InvariantCulture))] : [];
            case "w":
                int[] written = Resized(state, Math.Max(state.Length, op.Int(1) + op.Int(2)));
                written.AsSpan(op.Int(1), op.Int(2)).Fill(op.Number);
                return written;
            case "t":
                return Resized(state, op.Int(1));
            case "p":
                int[] punched = [.. state];
                punched.AsSpan(op.Int(1), op.Int(2)).Clear();
                return punched;
            default:
                return state;
        }
    }

    private static int[] Resized(int[] state, int length)
    {
        int[] resized = new int[length];
        state.AsSpan(0, Math.Min(state.Length, length)).CopyTo(resized);
        return resized;
    }

    private void Violation(string text) => _findings.Violation($"{_path}: {text}");
}
