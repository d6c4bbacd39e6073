using OrleansFs.Cluster.Tests.Support;
using OrleansFs.Hosting.Cluster;
using Xunit;

namespace OrleansFs.Cluster.Tests.Membership;

/// <summary>A folder is known again, and a copy of it is told from it.</summary>
public sealed class FolderPlaceTests : IDisposable
{
    private readonly TestFolder _folder = new();

    [Fact]
    public void On_a_machine_with_an_id_it_is_that_and_the_path()
    {
        File.WriteAllText(_folder["id"], "0123abc\n");
        Assert.Equal($"0123abc:{_folder["data"]}", FolderPlace.Of($"{_folder.Path}/./data", _folder["id"]));
    }

    /// <summary>Two containers, each with a folder of its own at the same path.</summary>
    [Theory]
    [InlineData(null)]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("uninitialized\n")]
    public void Without_an_id_another_folder_at_the_same_path_is_another(string? id)
    {
        if (id is not null)
            File.WriteAllText(_folder["id"], id);
        Directory.CreateDirectory(_folder["data"]);
        string first = FolderPlace.Of(_folder["data"], _folder["id"]);
        Assert.StartsWith(Environment.MachineName, first, StringComparison.Ordinal);
        Assert.EndsWith($":{_folder["data"]}", first, StringComparison.Ordinal);
        Assert.Equal(first, FolderPlace.Of(_folder["data"], _folder["id"]));
        Directory.Move(_folder["data"], _folder["elsewhere"]);
        Directory.CreateDirectory(_folder["data"]);
        Assert.NotEqual(first, FolderPlace.Of(_folder["data"], _folder["id"]));
        Directory.Delete(_folder["data"]);
        Directory.Move(_folder["elsewhere"], _folder["data"]);
        Assert.Equal(first, FolderPlace.Of(_folder["data"], _folder["id"]));
    }

    public void Dispose() => _folder.Dispose();
}
