using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>Reading directories: large ones, changing ones, several readers.</summary>
public sealed class DirectoryTests(MountPool mounts)
{
    private const int Many = 20_000;

    [Theory, OnEveryMount]
    public async Task A_large_directory_is_listed_whole(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        string[] names = [.. Enumerable.Range(0, Many).Select(i => $"name-{i:D6}")];
        foreach (string name in names)
            Assert.Equal(Errno.None, Sys.Create($"{at}/{name}"));
        Assert.Equal(names, Sys.List(at).Order(StringComparer.Ordinal));
        using var fd = Sys.Open(at, Sys.O_RDONLY | Sys.O_DIRECTORY);
        Assert.Equal(Many + 2, fd.Entries(bufferSize: 512).Distinct().Count());
        foreach (string name in names)
            Assert.Equal(Errno.None, Sys.Unlink($"{at}/{name}"));
        Assert.Empty(Sys.List(at));
    }

    [Theory, OnEveryMount]
    public async Task An_entry_that_stays_is_given_once_while_others_come_and_go(string kind)
    {
        if (MountKind.Named(kind).Volume == VolumeKind.Plain)
            Assert.Skip("ext4 does not promise it");
        string at = await mounts.EnterAsync(kind);
        string[] staying = [.. Enumerable.Range(0, 3000).Select(i => $"stay-{i:D5}")];
        foreach (string name in staying)
            Sys.Create($"{at}/{name}");
        for (int i = 0; i < 500; i++)
            Sys.Create($"{at}/go-{i}");
        var seen = new List<string>();
        using var fd = Sys.Open(at, Sys.O_RDONLY | Sys.O_DIRECTORY);
        int step = 0;
        foreach (string name in fd.Entries(bufferSize: 1024))
        {
            seen.Add(name);
            Sys.Create($"{at}/new-{step}");
            if (step < 500)
                Sys.Unlink($"{at}/go-{step}");
            if (step % 10 == 0)
                Sys.Rename($"{at}/new-{step}", $"{at}/renamed-{step}");
            if (++step > 5000)
                break;
        }
        Assert.Equal(staying, seen.Where(name => name.StartsWith("stay-", StringComparison.Ordinal)).Order(StringComparer.Ordinal));
    }

    [Theory, OnEveryMount]
    public async Task Types_are_given_with_names(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        Sys.Mkdir($"{at}/dir");
        Sys.Create($"{at}/file");
        Sys.Symlink("file", $"{at}/link");
        var found = new DirectoryInfo(at).EnumerateFileSystemInfos().ToDictionary(info => info.Name, info => info.Attributes);
        Assert.Equal(["dir", "file", "link"], found.Keys.Order());
        Assert.True(found["dir"].HasFlag(FileAttributes.Directory));
        Assert.True(found["link"].HasFlag(FileAttributes.ReparsePoint));
    }

    [Theory, OnEveryMount]
    public async Task Makers_and_removers_at_work_leave_what_they_made(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(worker => Task.Run(() =>
        {
            var random = new Random(worker);
            for (int i = 0; i < 1000; i++)
            {
                Assert.Equal(Errno.None, Sys.Create($"{at}/{worker}-{i}"));
                if (random.Next(2) == 0)
                    Assert.Equal(Errno.None, Sys.Unlink($"{at}/{worker}-{i}"));
                else
                    Assert.Equal(Errno.None, Sys.Rename($"{at}/{worker}-{i}", $"{at}/kept-{worker}-{i}"));
            }
        })));
        var expected = Enumerable.Range(0, 4).SelectMany(worker =>
        {
            var random = new Random(worker);
            return Enumerable.Range(0, 1000).Where(_ => random.Next(2) != 0).Select(i => $"kept-{worker}-{i}").ToList();
        });
        Assert.Equal(expected.Order(StringComparer.Ordinal), Sys.List(at).Order(StringComparer.Ordinal));
    }
}
