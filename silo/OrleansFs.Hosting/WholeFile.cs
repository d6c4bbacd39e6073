namespace OrleansFs.Hosting;

/// <summary>Small files in a data folder that are replaced as a whole, for the folder's owner alone.</summary>
internal static class WholeFile
{
    /// <summary>Writes one under a temporary name and then gives it its own. Where that fails nothing is left of it: on a full disk what is there stays as it was.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    public static void Write(string path, ReadOnlySpan<byte> content)
    {
        string temporary = path + ".new";
        try
        {
            // One that a process left behind, which was killed here, may be anybody's to read.
            File.Delete(temporary);
            var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite };
            using (var file = new FileStream(temporary, options))
                file.Write(content);
            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }
}
