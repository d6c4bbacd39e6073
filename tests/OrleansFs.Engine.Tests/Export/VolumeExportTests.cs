using System.Diagnostics;
using System.Text;
using OrleansFs.Engine.Export;
using OrleansFs.Engine.Tests.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Export;

public sealed class VolumeExportTests
{
    /// <summary>No UTF-8.</summary>
    private static readonly byte[] s_latin1 = [.. "caf"u8, 0xE9];

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    /// <summary>Owners are not carried over. So a program is not copied out as one that makes everybody its new owner, and a directory that was closed stays so.</summary>
    [Fact]
    public async Task What_is_copied_out_gives_nobody_more_than_it_did()
    {
        string target = Directory.CreateTempSubdirectory("ofs-export-").FullName;
        await using var volume = await VolumeFixture.CreateAsync();
        var user = new Caller(1000, 1000, 1, 0);
        var directory = await volume.Volume.CreateAsync(InodeNumber.Root, "home"u8.ToArray(), new NewInode { Mode = Mode.S_IFDIR | 0x1C0 }, user, Cancellation);
        Assert.Equal(Errno.None, directory.Error);
        var program = await volume.Volume.CreateAsync(directory.Value.Inode, "program"u8.ToArray(), new NewInode { Mode = Mode.S_IFREG | 0x9ED }, user, Cancellation);
        Assert.Equal(Errno.None, program.Error);
        await volume.WriteAsync(program.Value.Inode, 0, Encoding.ASCII.GetBytes("content"));
        var report = await new VolumeExport(volume.Copy, target, null).RunAsync(all: true, Cancellation);
        Assert.Empty(report.Problems);
        string home = Path.Combine(target, VolumeExport.FilesFolder, "home");
        Assert.Equal((UnixFileMode)0x1C0, File.GetUnixFileMode(home));
        Assert.Equal((UnixFileMode)0x1ED, File.GetUnixFileMode(Path.Combine(home, "program")));
        Assert.Equal("content", await File.ReadAllTextAsync(Path.Combine(home, "program"), Cancellation));
        Directory.Delete(target, recursive: true);
    }

    [Fact]
    public async Task A_link_says_the_same_bytes()
    {
        string target = Directory.CreateTempSubdirectory("ofs-export-").FullName;
        await using var volume = await VolumeFixture.CreateAsync();
        var user = new Caller(1000, 1000, 1, 0);
        var link = await volume.Volume.CreateAsync(InodeNumber.Root, "link"u8.ToArray(), new NewInode { Mode = Mode.S_IFLNK | 0x1FF, SymlinkTarget = s_latin1 }, user, Cancellation);
        Assert.Equal(Errno.None, link.Error);
        Assert.Empty((await new VolumeExport(volume.Copy, target, null).RunAsync(all: true, Cancellation)).Problems);
        using var readlink = Process.Start(new ProcessStartInfo("readlink", ["-n", Path.Combine(target, VolumeExport.FilesFolder, "link")]) { RedirectStandardOutput = true })!;
        using var said = new MemoryStream();
        await readlink.StandardOutput.BaseStream.CopyToAsync(said, Cancellation);
        Assert.Equal(s_latin1, said.ToArray());
        Directory.Delete(target, recursive: true);
    }
}
