using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>Names: what makes, links, renames and removes them.</summary>
public sealed class NameTests(MountPool mounts)
{
    [Theory, OnEveryMount]
    public async Task A_file_is_made_once(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Assert.Equal(Errno.None, Sys.Create($"{at}/f", 0x180));
        Assert.Equal(Errno.EEXIST, Sys.Create($"{at}/f"));
        var status = Sys.Stat($"{at}/f");
        Assert.Equal(Mode.S_IFREG | 0x180, status.Mode);
        Assert.Equal(1u, status.Links);
        Assert.Equal(0, status.Size);
        Assert.Equal(["f"], Sys.List(at));
    }
}
