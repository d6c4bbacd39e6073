using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Sessions;

public sealed class SessionCacheTests
{
    private static readonly InodeNumber Folder = new(7);
    private readonly ManualTime _time = new();
    private readonly SessionCache _cache;

    public SessionCacheTests()
    {
        _cache = new SessionCache(_time);
        _cache.Trust(_time.GetTimestamp());
    }

    [Fact]
    public void A_new_directory_is_known_to_be_empty()
    {
        Assert.Null(Find("a"));
        _cache.KeepChanged(_cache.Begin(), Directory(Folder, 0));
        Assert.Equal(Errno.ENOENT, Find("a"));
    }

    [Fact]
    public void What_is_not_there_is_known_where_all_that_is_there_is()
    {
        _cache.KeepAttributes(_cache.Begin(), Directory(Folder, 2));
        _cache.KeepEntry(_cache.Begin(), Folder, "a"u8, new(8), null);
        Assert.Null(Find("c"));
        _cache.KeepEntry(_cache.Begin(), Folder, "b"u8, new(9), File(9));
        Assert.Equal(Errno.ENOENT, Find("c"));
        Assert.Equal(Errno.None, Find("b"));
        // There, but nothing is known of it.
        Assert.Null(Find("a"));
    }

    [Fact]
    public void A_directory_stays_known_when_this_session_changes_it()
    {
        _cache.KeepAttributes(_cache.Begin(), Directory(Folder, 0));
        _cache.NameChanged(_cache.Begin(), Changed("a", 1), new InodeNumber(8));
        Assert.Equal(Errno.ENOENT, Find("b"));
        _cache.NameMoved(_cache.Begin(), Changed("a", 1), Changed("b", 1), new InodeNumber(8));
        _cache.KeepAttributes(_cache.Begin(), File(8));
        Assert.Equal((Errno.ENOENT, Errno.None, Errno.ENOENT), (Find("a"), Find("b"), Find("c")));
        _cache.NameChanged(_cache.Begin(), Changed("b", 0), null);
        Assert.Equal((Errno.ENOENT, Errno.ENOENT), (Find("b"), Find("c")));
    }

    [Fact]
    public void Nothing_is_known_of_a_directory_without_its_attributes_after_the_change()
    {
        _cache.KeepAttributes(_cache.Begin(), Directory(Folder, 0));
        _cache.NameChanged(_cache.Begin(), new ChangedName(Folder, "a"u8.ToArray(), null), new InodeNumber(8));
        Assert.Null(Find("b"));
    }

    /// <summary>Two changes at a time: of which of the two the attributes are is not known.</summary>
    [Fact]
    public void Of_two_changes_at_a_time_the_second_answer_is_not_kept()
    {
        long begun = _cache.Begin();
        _cache.NameChanged(begun, Changed("a", 2), new InodeNumber(8));
        Assert.Null(Find("c"));
        _cache.NameChanged(begun, Changed("b", 2), new InodeNumber(9));
        Assert.Null(Find("c"));
    }

    [Fact]
    public void What_others_change_or_may_have_become_anything_is_asked_for()
    {
        _cache.KeepAttributes(_cache.Begin(), Directory(Folder, 0));
        long begun = _cache.Begin();
        _cache.Recall([Folder]);
        Assert.Null(Find("a"));
        _cache.KeepAttributes(begun, Directory(Folder, 0));
        Assert.Null(Find("a"));
        _cache.KeepAttributes(_cache.Begin(), Directory(Folder, 0));
        Assert.Equal(Errno.ENOENT, Find("a"));
        _cache.NameDoubtful(Folder, "a"u8);
        Assert.Null(Find("a"));
        Assert.Null(Find("b"));
    }

    [Fact]
    public void When_there_is_too_much_what_was_used_longest_ago_goes()
    {
        _cache.KeepAttributes(_cache.Begin(), Directory(Folder, 0));
        for (ulong i = 0; i < 2 * Limits.CachedInodes; i++)
        {
            _cache.KeepAttributes(_cache.Begin(), File(1000 + i));
            // A directory in use stays known, whatever else is seen meanwhile.
            if (i % 1000 == 0)
                Assert.Equal(Errno.ENOENT, Find("a"));
        }
        Assert.False(_cache.TryAttributes(new(1000), out _));
        Assert.True(_cache.TryAttributes(new(1000 + 2 * Limits.CachedInodes - 1), out _));
    }

    [Fact]
    public void Files_that_come_and_go_drive_nothing_out()
    {
        _cache.KeepAttributes(_cache.Begin(), File(9));
        _cache.KeepAttributes(_cache.Begin(), Directory(Folder, 0));
        for (int i = 0; i < 2 * Limits.CachedNames; i++)
        {
            _cache.NameChanged(_cache.Begin(), Changed($"a{i}", 1), new InodeNumber(8));
            _cache.NameMoved(_cache.Begin(), Changed($"a{i}", 1), Changed($"b{i}", 1), new InodeNumber(8));
            _cache.NameChanged(_cache.Begin(), Changed($"b{i}", 0), null);
        }
        Assert.True(_cache.TryAttributes(new(9), out _));
        Assert.Equal((Errno.ENOENT, Errno.ENOENT), (Find("a1"), Find("never")));
    }

    [Fact]
    public void A_directory_that_is_removed_takes_its_names_with_it()
    {
        _cache.KeepAttributes(_cache.Begin(), Directory(Folder, 1));
        _cache.KeepEntry(_cache.Begin(), Folder, "a"u8, new(8), File(8));
        _cache.DirectoryGone(Folder);
        Assert.Null(Find("a"));
    }

    private static ChangedName Changed(string name, long entries) => new(Folder, System.Text.Encoding.UTF8.GetBytes(name), Directory(Folder, entries));

    private static Attributes Directory(InodeNumber inode, long entries) => new() { Inode = inode, Mode = Mode.S_IFDIR | 0x1ED, LinkCount = 2, Size = entries };

    private static Attributes File(ulong inode) => new() { Inode = new(inode), Mode = Mode.S_IFREG | 0x1A4, LinkCount = 1 };

    /// <returns>What is answered; null where it has to be asked for.</returns>
    private Errno? Find(string name) => _cache.TryLookup(Folder, System.Text.Encoding.UTF8.GetBytes(name), out var answer) ? answer.Error : null;
}
