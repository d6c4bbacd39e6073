using System.Reflection;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Metadata;

/// <summary>Names that are found without the metadata lock.</summary>
public sealed class CachedNameTests : IDisposable
{
    private readonly TestVolume _volume = new();

    private static InodeNumber Root => InodeNumber.Root;

    private MetadataStore Store => _volume.Store;

    public void Dispose() => _volume.Dispose();

    [Fact]
    public void What_was_looked_up_or_made_is_found_while_another_holds_the_lock()
    {
        Store.Create(Root, "removed");
        Store.Unlink(Root, "removed");
        var made = Store.Create(Root, "made");
        Store.Create(Root, "old");
        Store.Rename(Root, "old", Root, "new");
        Assert.Equal(Errno.ENOENT, Store.Lookup(Root, "absent").Error);
        string[] names = ["made", "new", "removed", "old", "absent"];
        FsResult<Attributes>[] found = [];
        var reader = new Thread(() => found = [.. names.Select(n => Store.Lookup(Root, n))]);
        lock (Store.Lock)
        {
            reader.Start();
            Assert.True(reader.Join(TimeSpan.FromSeconds(30)));
        }
        Assert.Equal([Errno.None, Errno.None, Errno.ENOENT, Errno.ENOENT, Errno.ENOENT], found.Select(f => f.Error));
        Assert.Equal(made.Inode, found[0].Value.Inode);
    }

    [Fact]
    public async Task A_name_that_is_replaced_is_there_at_every_moment()
    {
        Store.Create(Root, "target");
        bool stop = false;
        int looks = 0;
        var reader = Task.Run(() =>
        {
            while (!Volatile.Read(ref stop))
            {
                Assert.True(Store.Lookup(Root, "target").IsOk);
                looks++;
            }
        }, TestContext.Current.CancellationToken);
        for (int i = 0; i < 3000 || Volatile.Read(ref looks) < 3000; i++)
        {
            var next = Store.Create(Root, "next");
            Assert.True(Store.Rename(Root, "next", Root, "target").IsOk);
            Assert.Equal(next.Inode, Store.Lookup(Root, "target").Value.Inode);
            Assert.Equal(Errno.ENOENT, Store.Lookup(Root, "next").Error);
            Assert.False(reader.IsFaulted);
        }
        Volatile.Write(ref stop, true);
        await reader;
    }

    [Fact]
    public void A_name_that_could_not_be_made_is_not_found()
    {
        var directory = Store.MakeDirectory(Root, "d").Inode;
        var known = new Dictionary<string, InodeNumber>();
        Limit(pages: true);
        string? failed = null;
        for (int i = 0; failed is null; i++)
        {
            string name = $"{i:D200}";
            Assert.Equal(Errno.ENOENT, Store.Lookup(directory, name).Error);
            var made = Store.Create(directory, name.Bytes(), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, TestVolume.Root);
            if (made.IsOk)
                known.Add(name, made.Value.Inode);
            else
                failed = name;
        }
        _volume.Log.Expect("failed and is undone");
        Assert.Equal(Errno.ENOENT, Store.Lookup(directory, failed).Error);
        // One that was there and is to be renamed keeps its old name when that fails.
        string old = known.Keys.First();
        while (Store.Rename(directory, old, directory, old[..100] + "x" + old[..150]).IsOk)
        {
            known[old[..100] + "x" + old[..150]] = known[old];
            known.Remove(old);
            old = known.Keys.First(n => n.Length == 200);
        }
        _volume.Log.Expect("failed and is undone");
        Assert.All(known, k => Assert.Equal(k.Value, Store.Lookup(directory, k.Key).Value.Inode));
        Assert.Equal(Errno.ENOENT, Store.Lookup(directory, old[..100] + "x" + old[..150]).Error);
        Limit(pages: false);
        Assert.Equal(Store.Create(directory, failed).Inode, Store.Lookup(directory, failed).Value.Inode);
        _volume.Commit();
        Assert.Equal(known.Keys.Append(failed).Order(), Store.List(directory).Order());
    }

    private void Limit(bool pages)
    {
        var database = (Database)typeof(MetadataStore).GetField("_database", BindingFlags.Instance | BindingFlags.NonPublic)!.GetValue(Store)!;
        database.Execute($"PRAGMA max_page_count = {(pages ? database.Scalar("PRAGMA page_count") + 6 : 1_000_000_000)}");
    }
}
