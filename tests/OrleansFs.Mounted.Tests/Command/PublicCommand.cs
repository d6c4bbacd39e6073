using OrleansFs.Mounted.Tests.Command;
using Xunit;

[assembly: AssemblyFixture(typeof(PublicCommand))]

namespace OrleansFs.Mounted.Tests.Command;

/// <summary>The program where any user can run it: who builds in a home folder of mode 0700, as root's is, has it where others cannot.</summary>
public sealed class PublicCommand : IDisposable
{
    private static readonly Lazy<DirectoryInfo> s_folder = new(CopyForEveryone);

    /// <summary>Where it is.</summary>
    public static string Path => System.IO.Path.Combine(s_folder.Value.FullName, System.IO.Path.GetFileName(OrleansFsCommand.Path));

    public void Dispose()
    {
        if (s_folder.IsValueCreated)
            s_folder.Value.Delete(recursive: true);
    }

    private static DirectoryInfo CopyForEveryone()
    {
        const UnixFileMode Everyone = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
            | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;
        var folder = Directory.CreateTempSubdirectory("orleansfs-program-");
        // An installed one is a link into the folder that it needs.
        string program = File.ResolveLinkTarget(OrleansFsCommand.Path, returnFinalTarget: true)?.FullName ?? OrleansFsCommand.Path;
        string from = System.IO.Path.GetDirectoryName(program)!;
        foreach (string directory in Directory.EnumerateDirectories(from, "*", SearchOption.AllDirectories))
            folder.CreateSubdirectory(System.IO.Path.GetRelativePath(from, directory));
        foreach (string file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories))
            File.Copy(file, System.IO.Path.Combine(folder.FullName, System.IO.Path.GetRelativePath(from, file)));
        folder.UnixFileMode = Everyone;
        return folder;
    }
}
