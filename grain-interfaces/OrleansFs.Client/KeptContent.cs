using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>Compares kept changes of a file with what the file shows.</summary>
internal static class KeptContent
{
    /// <summary>Bytes compared at a time: one message.</summary>
    private const int Piece = GrainInterfaces.Limits.MaxTransfer;

    private readonly record struct Step(long Offset, ReadOnlyMemory<byte> Data, bool IsTruncation);

    /// <summary>Whether a file is as it would be if these changes were made again in their order. False also where that is not known: an allocation is among them, or it is too much to read.</summary>
    /// <param name="changes">Of one file, in their order.</param>
    /// <param name="size">Of the file.</param>
    /// <param name="read">Gives its bytes from an offset on, fewer at its end; null where it cannot be read.</param>
    public static async ValueTask<bool> IsShownAsync(IReadOnlyList<UnstableChange> changes, long size, Func<long, int, ValueTask<ReadOnlyMemory<byte>?>> read)
    {
        if (changes.Any(c => c.Kind == UnstableKind.Allocate))
            return false;
        var steps = changes.SelectMany(Steps).ToList();
        long end = size;
        var touched = new SortedSet<long>();
        foreach (var step in steps)
        {
            if (!Touch(touched, step.Offset, step.IsTruncation ? Math.Max(end, size) : step.Offset + step.Data.Length))
                return false;
            end = step.IsTruncation ? step.Offset : Math.Max(end, step.Offset + step.Data.Length);
        }
        if (end != size)
            return false;
        foreach (long piece in touched.Where(p => p * Piece < size))
        {
            if (await read(piece * Piece, Piece) is not { } there || !IsShown(steps, piece * Piece, there.Span))
                return false;
        }
        return true;
    }

    /// <returns>False: too many pieces.</returns>
    private static bool Touch(SortedSet<long> touched, long from, long to)
    {
        for (long piece = from / Piece; piece * Piece < to; piece++)
        {
            touched.Add(piece);
            if (touched.Count > Limits.ComparedPieces)
                return false;
        }
        return true;
    }

    private static bool IsShown(List<Step> steps, long at, ReadOnlySpan<byte> there)
    {
        byte[] made = there.ToArray();
        foreach (var step in steps)
        {
            long from = Math.Max(step.Offset, at);
            long to = step.IsTruncation ? at + made.Length : Math.Min(step.Offset + step.Data.Length, at + made.Length);
            if (from >= to)
                continue;
            var target = made.AsSpan((int)(from - at), (int)(to - from));
            if (step.IsTruncation)
                target.Clear();
            else
                step.Data.Span.Slice((int)(from - step.Offset), target.Length).CopyTo(target);
        }
        return there.SequenceEqual(made);
    }

    private static IEnumerable<Step> Steps(UnstableChange change)
    {
        if (change.Kind == UnstableKind.Truncate)
        {
            yield return new Step(change.Offset, default, IsTruncation: true);
            yield break;
        }
        var rest = change.Data;
        foreach (var piece in change.Pieces ?? [new GrainInterfaces.WritePiece(change.Offset, change.Bytes)])
        {
            yield return new Step(piece.Offset, rest[..piece.Length], IsTruncation: false);
            rest = rest[piece.Length..];
        }
    }
}
