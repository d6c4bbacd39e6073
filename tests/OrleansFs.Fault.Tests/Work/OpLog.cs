using System.Globalization;
using System.Text;
using OrleansFs.Fault.Tests.Device;
using OrleansFs.Model;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>What a worker does, told to a file outside the volume before and after each step, with the disk's position at that moment.</summary>
/// <remarks>
/// A line each: <c>b NUMBER POSITION WORDS</c> before a step, <c>d NUMBER POSITION</c> when it has succeeded, <c>f NUMBER POSITION ERRNO</c> when it has failed. Numbers grow by one. The position of
/// a beginning is read before the step and that of an end after it, so that "ended at or before P" and "may have begun by P" hold for the disk as it was at P.
/// </remarks>
internal sealed class OpLog : IDisposable
{
    private readonly FileStream _file;
    private readonly Clock? _clock;
    private int _number;

    public OpLog(string path, Clock? clock)
    {
        _file = new FileStream(path, FileMode.Create, FileAccess.Write, FileShare.Read, bufferSize: 0);
        _clock = clock;
    }

    /// <summary>The number of the newest step.</summary>
    public int Number => _number;

    /// <summary>What was found when the work began; it has the number that the steps go on from.</summary>
    public void Found(int number, string words)
    {
        _number = number;
        Write($"b {number} {Now} {words}\nd {number} {Now}\n");
    }

    /// <summary>Takes a step.</summary>
    /// <param name="words">What it is, for the verification.</param>
    /// <param name="act">Takes it; given its number.</param>
    /// <exception cref="WorkEndedException">It failed.</exception>
    public void Do(string words, Func<int, Errno> act)
    {
        int number = ++_number;
        Write($"b {number} {Now} {words}\n");
        var error = act(number);
        if (error != Errno.None)
        {
            Write($"f {number} {Now} {error}\n");
            throw new WorkEndedException(error, words);
        }
        Write($"d {number} {Now}\n");
    }

    public void Dispose() => _file.Dispose();

    private long Now => _clock?.Now ?? 0;

    private void Write(string line) => _file.Write(Encoding.ASCII.GetBytes(line));
}

/// <summary>A step of a worker failed.</summary>
internal sealed class WorkEndedException(Errno error, string words) : Exception($"{words}: {error}")
{
    public Errno Error => error;
}

/// <summary>One step of a worker as its log tells it.</summary>
/// <param name="Number">Its number.</param>
/// <param name="Begun">The position before it.</param>
/// <param name="Words">What it was.</param>
/// <param name="IsDone">It had succeeded by the moment of the cut.</param>
internal sealed record Op(int Number, long Begun, string[] Words, bool IsDone)
{
    public string Verb => Words[0];

    public int Int(int word) => int.Parse(Words[word], CultureInfo.InvariantCulture);
}

/// <summary>What a worker had done, and begun, by the moment of a cut.</summary>
internal sealed class History
{
    private History(List<Op> ops) => Ops = ops;

    /// <summary>In order. All but the last are done, or the worker ended there.</summary>
    public IReadOnlyList<Op> Ops { get; }

    /// <summary>Index of the last step that succeeded and made everything before it durable; null where there is none.</summary>
    public int? LastSync(Func<Op, bool> isSync)
    {
        for (int i = Ops.Count - 1; i >= 0; i--)
        {
            if (Ops[i].IsDone && isSync(Ops[i]))
                return i;
        }
        return null;
    }

    /// <param name="path">A log. Its last line may be cut off.</param>
    /// <param name="position">The cut, as the disk counts.</param>
    public static History Read(string path, long position)
    {
        var ops = new List<Op>();
        string text = File.Exists(path) ? File.ReadAllText(path) : "";
        foreach (string line in text[..(text.LastIndexOf('\n') + 1)].Split('\n', StringSplitOptions.RemoveEmptyEntries))
        {
            string[] words = line.Split(' ');
            int number = int.Parse(words[1], CultureInfo.InvariantCulture);
            long at = long.Parse(words[2], CultureInfo.InvariantCulture);
            if (at > position)
                continue;
            if (words[0] == "b")
                ops.Add(new Op(number, at, words[3..], IsDone: false));
            else if (words[0] == "d")
                ops[^1] = ops[^1] with { IsDone = true };
        }
        return new History(ops);
    }
}
