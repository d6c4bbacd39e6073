using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Posix;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>What fills a disk.</summary>
internal enum FillStyle
{
    /// <summary>Files of some MiB.</summary>
    Large,

    /// <summary>Files of some KiB: as many names as content.</summary>
    Small,

    /// <summary>Files with data in a few places, allocated and punched.</summary>
    Sparse,
}

/// <summary>Makes files that do not compress until there is no room; each is synced and closed before the next. What was synced is there, whole.</summary>
/// <remarks>Steps: <c>f NAME LENGTH</c>. The content of a file is its step's; in a sparse one, only every eighth piece has any.</remarks>
internal sealed class FillWork(FillStyle style) : IWork
{
    private const int PieceSize = 4096;
    private const int FilesInFolder = 200;

    public void Run(WorkContext context)
    {
        context.Log.Found(0, "base");
        while (!context.Stop.IsCancellationRequested)
        {
            int number = context.Log.Number + 1;
            string folder = $"d{number / FilesInFolder}";
            int length = style switch { FillStyle.Small => context.Random.Next(64, 24_000), FillStyle.Large => context.Random.Next(100_000, 3_000_000), _ => context.Random.Next(1_000_000, 8_000_000) };
            context.Log.Do($"f {folder}/f{number} {length}", step => Make(context, folder, $"{folder}/f{number}", step, length));
        }
    }

    public void Verify(string folder, int family, History history, Findings findings)
    {
        foreach (var op in history.Ops.Where(o => o.Verb == "f"))
        {
            string path = Path.Combine(folder, op.Words[1]);
            if (!File.Exists(path))
            {
                if (op.IsDone)
                    findings.Violation($"{path}: was synced and is not there");
                continue;
            }
            findings.Checked++;
            byte[] content = File.ReadAllBytes(path);
            if (op.IsDone && content.Length != op.Int(2))
                findings.Violation($"{path}: {content.Length} bytes, but {op.Int(2)} were synced");
            byte[] expected = Content(family, op.Number, op.Int(2));
            for (int at = 0; at < content.Length; at += PieceSize)
            {
                var found = content.AsSpan(at, Math.Min(PieceSize, content.Length - at));
                bool equal = at + found.Length <= expected.Length && found.SequenceEqual(expected.AsSpan(at, found.Length));
                // Of a file whose making failed each piece is there or not.
                if (!equal && (op.IsDone || found.ContainsAnyExcept((byte)0)))
                    findings.Violation($"{path}: at {at} of {content.Length} is {Cell.Describe(found)}");
            }
        }
    }

    private Errno Make(WorkContext context, string folder, string name, int step, int length)
    {
        var error = Sys.Mkdir(context.Path(folder));
        if (error is not (Errno.None or Errno.EEXIST))
            return error;
        error = Sys.Open(context.Path(name), Sys.O_RDWR | Sys.O_CREAT | Sys.O_EXCL, 0x1A4, out var file);
        using (file)
        {
            byte[] content = Content(context.Family, step, length);
            if (error == Errno.None)
                error = style == FillStyle.Sparse ? WriteSparse(file, content) : file.Write(0, content);
            if (error == Errno.None)
                error = file.Sync();
            return error == Errno.None ? file.Close() : error;
        }
    }

    private static Errno WriteSparse(FileDescriptor file, byte[] content)
    {
        // Allocated as a whole, written where it has content; then what was allocated around it is punched out.
        var error = file.Allocate(0, 0, content.Length);
        for (int at = 0; error == Errno.None && at < content.Length; at += 8 * PieceSize)
        {
            int end = Math.Min(at + 8 * PieceSize, content.Length);
            error = file.Write(at, content.AsSpan(at, Math.Min(PieceSize, end - at)));
            if (error == Errno.None && end - at > PieceSize)
                error = file.Allocate(Sys.FALLOC_FL_PUNCH_HOLE | Sys.FALLOC_FL_KEEP_SIZE, at + PieceSize, end - at - PieceSize);
        }
        return error;
    }

    private byte[] Content(int family, int step, int length)
    {
        byte[] content = new byte[length];
        for (int at = 0; at < length; at += style == FillStyle.Sparse ? 8 * PieceSize : PieceSize)
        {
            // Every third version of a cell compresses; these are the others.
            Cell.Fill(content.AsSpan(at, Math.Min(PieceSize, length - at)), family, 3 * step + 1, at / PieceSize);
        }
        return content;
    }
}
