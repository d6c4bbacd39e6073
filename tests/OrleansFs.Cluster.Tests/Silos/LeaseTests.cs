using System.Text;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>Sessions that cache under leases: what one was answered, every other sees from then on; what nobody else changes costs no message.</summary>
public sealed class LeaseTests : IAsyncLifetime
{
    private static readonly Caller s_me = new(0, 0, 1, 0x12);

    private readonly TestFolder _folder = new();
    private RunningSilo _silo = null!;
    private VolumeConnection _connection = null!;

    private static CancellationToken Cancellation => RunningSilo.Cancellation;

    public async ValueTask InitializeAsync()
    {
        _silo = await RunningSilo.StartAsync(_folder["data"]);
        _connection = await _silo.ConnectAsync();
    }

    [Fact]
    public async Task What_was_answered_is_answered_again_without_a_message_until_another_changes_it()
    {
        var (mine, other) = (await _silo.MountAsync(_connection), await _silo.MountAsync(_connection));
        Assert.Equal(Errno.ENOENT, (await LookupAsync(mine, "a")).Error);
        Assert.True(IsCached(mine, "a"));
        var made = (await CreateAsync(other, "a")).Value.Inode;
        Assert.False(IsCached(mine, "a"));
        Assert.Equal(made, (await LookupAsync(mine, "a")).Value.Inode);
        Assert.True(IsCached(mine, "a"));
        Assert.True(mine.GetAttributesAsync(made, Cancellation).AsTask().IsCompleted);
        Assert.True((await other.WriteAsync(made, 0, new byte[100], WriteFlags.None, Cancellation)).IsOk);
        Assert.Equal(100, (await mine.GetAttributesAsync(made, Cancellation)).Value.Size);
        Assert.True((await other.SetAttributesAsync(made, new AttributeChange { Mask = AttributeMask.Mode, Mode = 0x180 }, s_me, Cancellation)).IsOk);
        Assert.Equal(0x180u, (await mine.GetAttributesAsync(made, Cancellation)).Value.Mode & Mode.PermissionMask);
        Assert.True((await other.LinkAsync(made, InodeNumber.Root, "b"u8.ToArray(), Cancellation)).IsOk);
        Assert.Equal(2u, (await LookupAsync(mine, "a")).Value.LinkCount);
        Assert.True((await other.RenameAsync(InodeNumber.Root, "a"u8.ToArray(), InodeNumber.Root, "c"u8.ToArray(), RenameFlags.None, s_me, Cancellation)).IsOk);
        Assert.Equal(Errno.ENOENT, (await LookupAsync(mine, "a")).Error);
        Assert.Equal(made, (await LookupAsync(mine, "c")).Value.Inode);
        Assert.True((await other.UnlinkAsync(InodeNumber.Root, "c"u8.ToArray(), Cancellation)).IsOk);
        Assert.Equal(Errno.ENOENT, (await LookupAsync(mine, "c")).Error);
        Assert.Equal(1u, (await LookupAsync(mine, "b")).Value.LinkCount);
    }

    [Fact]
    public async Task What_a_session_does_itself_it_knows_without_asking()
    {
        var mine = await _silo.MountAsync(_connection);
        var made = await CreateAsync(mine, "a");
        Assert.True(IsCached(mine, "a"));
        Assert.Equal(made.Value, (await LookupAsync(mine, "a")).Value);
        Assert.True((await mine.RenameAsync(InodeNumber.Root, "a"u8.ToArray(), InodeNumber.Root, "b"u8.ToArray(), RenameFlags.None, s_me, Cancellation)).IsOk);
        Assert.Equal(Errno.ENOENT, (await LookupAsync(mine, "a")).Error);
        Assert.Equal(made.Value.Inode, (await LookupAsync(mine, "b")).Value.Inode);
        Assert.True((await mine.UnlinkAsync(InodeNumber.Root, "b"u8.ToArray(), Cancellation)).IsOk);
        Assert.True(IsCached(mine, "b"));
        Assert.Equal(Errno.ENOENT, (await LookupAsync(mine, "b")).Error);
    }

    /// <summary>Before the first write to a file the kernel asks whether it has capabilities. Of one that this session made that costs no message, until somebody sets one.</summary>
    [Fact]
    public async Task A_new_file_is_known_to_have_no_capabilities_until_somebody_sets_one()
    {
        var (mine, other) = (await _silo.MountAsync(_connection), await _silo.MountAsync(_connection));
        Assert.Equal(Errno.ENOENT, (await LookupAsync(mine, "a")).Error);
        byte[] capability = "security.capability"u8.ToArray();
        byte[] value = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        foreach (var setter in new[] { mine, other })
        {
            var made = (await CreateAsync(mine, $"of {setter.GetHashCode()}")).Value.Inode;
            var asking = mine.GetXattrAsync(made, capability, Cancellation).AsTask();
            Assert.True(asking.IsCompleted);
            Assert.Equal(Errno.ENODATA, (await asking).Error);
            Assert.True((await mine.WriteAsync(made, 0, new byte[100], WriteFlags.None, Cancellation)).IsOk);
            Assert.True(mine.GetXattrAsync(made, capability, Cancellation).AsTask().IsCompleted);
            Assert.True((await setter.SetXattrAsync(made, capability, value, XattrFlags.None, Cancellation)).IsOk);
            Assert.Equal(value, (await mine.GetXattrAsync(made, capability, Cancellation)).Value.ToArray());
        }
    }

    /// <summary>The mount in the silo's process is told too, before the answer.</summary>
    [Fact]
    public async Task The_mount_beside_the_silo_is_told_and_tells()
    {
        var kernel = new Told();
        var beside = _silo.Host.OpenBeside(kernel);
        var other = await _silo.MountAsync(_connection);
        var made = (await CreateAsync(other, "a")).Value.Inode;
        kernel.Known.Add(made);
        kernel.Dropped.Clear();
        Assert.True((await other.WriteAsync(made, 0, new byte[7], WriteFlags.None, Cancellation)).IsOk);
        Assert.Contains(made, kernel.Dropped);
        Assert.Equal(7, (await LookupAsync(other, "a")).Value.Size);
        Assert.True((await beside.WriteAsync(made, 7, new byte[7], WriteFlags.None, Cancellation)).IsOk);
        Assert.Equal(14, (await LookupAsync(other, "a")).Value.Size);
        Assert.True((await beside.UnlinkAsync(InodeNumber.Root, "a"u8.ToArray(), Cancellation)).IsOk);
        Assert.Equal(Errno.ENOENT, (await LookupAsync(other, "a")).Error);
    }

    /// <summary>Of writes that went in one message, the first may have been made and the second not.</summary>
    [Fact]
    public async Task What_a_change_has_done_before_it_failed_is_seen_by_others()
    {
        var kernel = new Told();
        _silo.Host.OpenBeside(kernel);
        var other = await _silo.MountAsync(_connection);
        await using var mine = await GrainVolumeAccess.AttachAsync(_connection, _silo.Copy, new Holder(), new RemoteVolumeOptions { Client = "test", WriteBehind = true }, Cancellation);
        var made = (await CreateAsync(mine, "a")).Value.Inode;
        kernel.Known.Add(made);
        Assert.Equal(0, (await LookupAsync(other, "a")).Value.Size);
        Assert.True(IsCached(other, "a"));
        kernel.Dropped.Clear();
        Assert.True((await mine.WriteAsync(made, 0, new byte[100], WriteFlags.None, Cancellation)).IsOk);
        Assert.True((await mine.WriteAsync(made, long.MaxValue - 10, new byte[100], WriteFlags.None, Cancellation)).IsOk);
        Assert.Equal(Errno.EFBIG, (await mine.FlushAsync(made, 1, Cancellation)).Error);
        Assert.Equal(100, (await LookupAsync(other, "a")).Value.Size);
        Assert.Contains(made, kernel.Dropped);
    }

    /// <summary>What has another name that is known, and loses one that is not, is another inode than it was.</summary>
    [Theory]
    [InlineData("unlink")]
    [InlineData("rename over it")]
    [InlineData("rename of it")]
    public async Task What_loses_a_name_that_was_not_known_is_known_to_have_changed(string how)
    {
        var (mine, other) = (await _silo.MountAsync(_connection), await _silo.MountAsync(_connection));
        var d = (await other.CreateAsync(InodeNumber.Root, Bytes("d"), new NewInode { Mode = Mode.S_IFDIR | 0x1ED }, s_me, Cancellation)).Value.Inode;
        var file = (await other.CreateAsync(d, Bytes("x"), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, s_me, Cancellation)).Value.Inode;
        await other.CreateAsync(d, Bytes("y"), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, s_me, Cancellation);
        Assert.True((await other.LinkAsync(file, InodeNumber.Root, Bytes("z"), Cancellation)).IsOk);
        var before = (await LookupAsync(mine, "z")).Value;
        Assert.Equal(2u, before.LinkCount);
        Assert.True(IsCached(mine, "z"));
        Assert.True((how switch
        {
            "unlink" => await mine.UnlinkAsync(d, Bytes("x"), Cancellation),
            "rename of it" => await mine.RenameAsync(d, Bytes("x"), d, Bytes("w"), RenameFlags.None, s_me, Cancellation),
            _ => await mine.RenameAsync(d, Bytes("y"), d, Bytes("x"), RenameFlags.None, s_me, Cancellation),
        }).IsOk);
        var after = (await mine.GetAttributesAsync(file, Cancellation)).Value;
        Assert.Equal(how == "rename of it" ? 2u : 1u, after.LinkCount);
        Assert.True(after.ChangeTime > before.ChangeTime);
    }

    /// <summary>In one directory, at the same time: whatever one session was answered, another finds when it looks afterwards.</summary>
    [Fact]
    public async Task What_a_session_made_where_it_had_asked_nothing_it_does_not_take_for_known()
    {
        await using var one = await _silo.MountAsync(_connection);
        await using var two = await _silo.MountAsync(_connection);
        var inode = (await CreateAsync(one, "a")).Value.Inode;
        Assert.True((await two.RenameAsync(InodeNumber.Root, Bytes("a"), InodeNumber.Root, Bytes("b"), RenameFlags.None, s_me, Cancellation)).IsOk);
        Assert.Equal(inode, (await LookupAsync(one, "b")).Value.Inode);
        Assert.Equal(Errno.ENOENT, (await LookupAsync(one, "a")).Error);
    }

    [Fact]
    public async Task Sessions_that_change_one_directory_at_once_see_each_change_after_its_answer()
    {
        int seed = Environment.TickCount;
        TestContext.Current.SendDiagnosticMessage($"seed {seed}");
        var mounts = new GrainVolumeAccess[3];
        for (int i = 0; i < mounts.Length; i++)
            mounts[i] = await _silo.MountAsync(_connection);
        await Task.WhenAll(Enumerable.Range(0, 4).Select(worker => Task.Run(async () =>
        {
            var random = new Random(seed + worker);
            GrainVolumeAccess Any() => mounts[random.Next(mounts.Length)];
            for (int i = 0; i < 150; i++)
            {
                string name = $"{worker}-{random.Next(3)}";
                bool isThere = (await LookupAsync(Any(), name)).IsOk;
                var made = await CreateAsync(Any(), name);
                Assert.Equal(isThere ? Errno.EEXIST : Errno.None, made.Error);
                var inode = (await LookupAsync(Any(), name)).Value.Inode;
                Assert.True((await Any().WriteAsync(inode, 0, new byte[i + 1], WriteFlags.None, Cancellation)).IsOk);
                Assert.InRange((await Any().GetAttributesAsync(inode, Cancellation)).Value.Size, i + 1, long.MaxValue);
                string other = $"{worker}-{3 + random.Next(3)}";
                Assert.True((await Any().RenameAsync(InodeNumber.Root, Bytes(name), InodeNumber.Root, Bytes(other), RenameFlags.None, s_me, Cancellation)).IsOk);
                Assert.Equal(Errno.ENOENT, (await LookupAsync(Any(), name)).Error);
                Assert.Equal(inode, (await LookupAsync(Any(), other)).Value.Inode);
                if (random.Next(2) == 0)
                {
                    Assert.True((await Any().UnlinkAsync(InodeNumber.Root, Bytes(other), Cancellation)).IsOk);
                    Assert.Equal(Errno.ENOENT, (await LookupAsync(Any(), other)).Error);
                }
            }
        })));
    }

    public async ValueTask DisposeAsync()
    {
        await _silo.DisposeAsync();
        _silo.Log.AssertQuiet();
        _folder.Dispose();
    }

    private static byte[] Bytes(string name) => Encoding.UTF8.GetBytes(name);

    private static ValueTask<FsResult<Attributes>> LookupAsync(GrainVolumeAccess volume, string name) => volume.LookupAsync(InodeNumber.Root, Bytes(name), Cancellation);

    private static ValueTask<FsResult<Attributes>> CreateAsync(GrainVolumeAccess volume, string name) =>
        volume.CreateAsync(InodeNumber.Root, Bytes(name), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, s_me, Cancellation);

    /// <summary>A call that needs a message is not complete at once.</summary>
    private static bool IsCached(GrainVolumeAccess volume, string name) => LookupAsync(volume, name).AsTask().IsCompleted;

    private sealed class Told : ICacheHolder
    {
        public HashSet<InodeNumber> Known { get; } = [];

        public List<InodeNumber> Dropped { get; } = [];

        public bool Holds(InodeNumber inode) => Known.Contains(inode);

        public ValueTask InvalidateAsync(InodeNumber[] inodes, bool areChanged)
        {
            Dropped.AddRange(inodes);
            return default;
        }

        public void InvalidateAll()
        {
        }
    }
}
