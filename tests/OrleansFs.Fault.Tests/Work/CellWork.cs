using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>Which way a program reaches its file.</summary>
internal enum CellAccess
{
    /// <summary>Through the page cache, whose pages the kernel writes back in an order of its own.</summary>
    Buffered,

    /// <summary>O_DIRECT: the volume sees each step at once and in order.</summary>
    Direct,

    /// <summary>Stores into mapped memory, msync.</summary>
    Mapped,
}

/// <summary>A file that is written in place, in cells that each say which step wrote them: a database of a kind. It is also cut off and punched.</summary>
/// <remarks>
/// After a crash each cell is as it was at its last sync or as some later step made it. Where the volume sees the steps in order (direct), the whole file is as some one step left it, the last sync
/// or a later one: that is what the design promises.
/// </remarks>
internal sealed class CellWork(CellAccess access, int cellSize) : IWork
{
    private const string Name = "cells";

    /// <summary>Bytes up to which the file grows.</summary>
    private const int MaxLength = 1536 << 10;

    private int MaxCells => MaxLength / cellSize;

    public void Run(WorkContext context)
    {
        string path = context.Path(Name);
        if (access == CellAccess.Mapped)
            Sys.Unlink(path);
        using var target = CellFile.Open(access, path, MaxLength);
        int[] found = Versions(path, context.Family);
        context.Log.Found(found.Append(0).Max(), $"base {string.Join(',', found)}");
        int cells = found.Length;
        while (!context.Stop.IsCancellationRequested)
        {
            if (context.Random.Next(4) == 0)
                CommitLikeADatabase(context, target, ref cells);
            else
                Step(context, target, ref cells);
        }
    }

    public void Verify(string folder, int family, History history, Findings findings)
    {
        if (history.Ops.Count == 0)
            return;
        string path = Path.Combine(folder, Name);
        byte[] content = File.Exists(path) ? File.ReadAllBytes(path) : [];
        findings.Checked++;
        new CellVerification(path, history, family, cellSize, access, findings).Verify(content);
    }

    private void Step(WorkContext context, CellFile target, ref int cells)
    {
        var random = context.Random;
        int kind = random.Next(100);
        if (kind < 12)
        {
            context.Log.Do("s", _ => target.Sync(dataOnly: random.Next(2) == 0));
        }
        else if (kind < 16 && access != CellAccess.Mapped)
        {
            int to = random.Next(MaxCells / 2, MaxCells + 1);
            context.Log.Do($"t {to}", _ => target.Truncate((long)to * cellSize));
            cells = to;
        }
        else if (kind < 20 && cells > 0 && access != CellAccess.Mapped)
        {
            int first = random.Next(cells);
            int count = random.Next(1, Math.Min(cells - first, 64) + 1);
            context.Log.Do($"p {first} {count}", _ => target.Punch((long)first * cellSize, (long)count * cellSize));
        }
        else
        {
            Write(context, target, random.Next(3) == 0 ? 1 : random.Next(1, 33), ref cells);
        }
    }

    /// <summary>A few small writes and a sync: what goes to the redo log.</summary>
    private void CommitLikeADatabase(WorkContext context, CellFile target, ref int cells)
    {
        for (int i = context.Random.Next(1, 4); i > 0; i--)
            Write(context, target, 1, ref cells);
        context.Log.Do("s", _ => target.Sync(dataOnly: true));
    }

    private void Write(WorkContext context, CellFile target, int count, ref int cells)
    {
        int first = context.Random.Next(Math.Min(cells + 8, MaxCells));
        count = Math.Min(count, MaxCells - first);
        context.Log.Do($"w {first} {count}", number =>
        {
            var data = target.Buffer(count * cellSize);
            for (int i = 0; i < count; i++)
                Cell.Fill(data.Slice(i * cellSize, cellSize), context.Family, number, first + i);
            return target.Write((long)first * cellSize, data);
        });
        cells = Math.Max(cells, first + count);
    }

    /// <summary>What the last crash left, which has been verified.</summary>
    private int[] Versions(string path, int family)
    {
        byte[] content = File.ReadAllBytes(path);
        int[] versions = new int[content.Length / cellSize];
        for (int i = 0; i < versions.Length; i++)
            versions[i] = Cell.VersionOf(content.AsSpan(i * cellSize, cellSize), family, i) ?? throw new InvalidDataException($"{path}: cell {i} is damaged before the work begins");
        return versions;
    }
}
