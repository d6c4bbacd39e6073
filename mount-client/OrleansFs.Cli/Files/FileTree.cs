using System.IO.Enumeration;

namespace OrleansFs.Cli.Files;

/// <summary>The regular files of paths: files as they are, directories on a mount with all below them. Symbolic links are not followed, and what has no content (a fifo, a socket, a device) is passed over.</summary>
internal static class FileTree
{
    /// <param name="paths">Files and directories.</param>
    /// <param name="problem">Told of what cannot be read.</param>
    public static IEnumerable<string> Of(IEnumerable<string> paths, Action<string> problem)
    {
        foreach (string path in paths)
        {
            if (!Directory.Exists(path))
            {
                yield return path;
                continue;
            }
            // Else each of its files would say so.
            if (OpenFile.FaultOfDirectory(path) is { } fault)
            {
                problem(fault);
                continue;
            }
            var waiting = new Stack<string>([path]);
            while (waiting.TryPop(out string? folder))
            {
                foreach (var (name, isDirectory) in Entries(folder, problem))
                {
                    if (isDirectory)
                        waiting.Push(name);
                    else if (FileKind.MayHaveContent(name))
                        yield return name;
                }
            }
        }
    }

    private static List<(string Name, bool IsDirectory)> Entries(string folder, Action<string> problem)
    {
        try
        {
            return
            [
                .. new FileSystemEnumerable<(string, bool)>(
                    folder, (ref FileSystemEntry entry) => (entry.ToSpecifiedFullPath(), entry.IsDirectory), new EnumerationOptions { AttributesToSkip = 0, IgnoreInaccessible = false })
                {
                    ShouldIncludePredicate = (ref FileSystemEntry entry) => (entry.Attributes & FileAttributes.ReparsePoint) == 0,
                },
            ];
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            problem($"{folder}: {failure.Message}");
            return [];
        }
    }
}
