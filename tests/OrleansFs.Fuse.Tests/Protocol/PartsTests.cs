using OrleansFs.Fuse.Protocol;
using OrleansFs.Fuse.Transport;
using Xunit;

namespace OrleansFs.Fuse.Tests.Protocol;

/// <summary>The small parts.</summary>
public sealed class PartsTests
{
    [Fact]
    public void Lookup_counts_agree_with_a_model()
    {
        int seed = Random.Shared.Next();
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        Random random = new(seed);
        LookupCounts counts = new();
        Dictionary<ulong, ulong> model = [];
        for (int round = 0; round < 400_000; round++)
        {
            // Runs of neighbours, as inode numbers are, and a few that are far apart.
            ulong node = random.Next(4) == 0 ? (ulong)random.NextInt64(2, long.MaxValue) : (ulong)random.Next(2, 3000);
            if (random.Next(round < 200_000 ? 3 : 6) < 2)
            {
                Assert.Equal(!model.ContainsKey(node), counts.Add(new NodeId(node)));
                model[node] = model.GetValueOrDefault(node) + 1;
            }
            else
            {
                ulong lookups = (ulong)random.Next(1, 4);
                bool known = model.TryGetValue(node, out ulong count);
                Assert.Equal(known && count <= lookups, counts.Forget(new NodeId(node), lookups));
                if (known && count <= lookups)
                    model.Remove(node);
                else if (known)
                    model[node] = count - lookups;
            }
        }
        Assert.Equal(model.Count, counts.Count);
        Assert.All(model.Keys, node => Assert.True(counts.Contains(new NodeId(node))));
        List<ulong> cleared = [];
        counts.Clear(node => cleared.Add(node.Value));
        Assert.Equal(model.Keys.Order(), cleared.Order());
        Assert.Equal(0, counts.Count);
    }

    [Fact]
    public void The_root_is_never_counted()
    {
        LookupCounts counts = new();
        Assert.False(counts.Add(NodeId.Root));
        Assert.True(counts.Contains(NodeId.Root));
        Assert.False(counts.Forget(NodeId.Root, 1));
        Assert.Equal(0, counts.Count);
    }

    [Fact]
    public void A_million_nodes_take_at_most_26_bytes_each()
    {
        LookupCounts counts = new();
        for (ulong node = 2; node < 1_000_002; node++)
            counts.Add(new NodeId(node));
        Assert.Equal(1_000_000, counts.Count);
        Assert.InRange(counts.TableBytes, 16_000_000, 26_000_000);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void A_listing_takes_what_fits_and_pads_to_8(bool plus)
    {
        int record = (plus ? 128 : 0) + 24 + 8;
        DirectoryWriter writer = new(new byte[(record * 3) - 1], plus);
        for (int i = 1; i <= 2; i++)
            Assert.True(plus ? writer.TryAdd("12345"u8, new EntryReply(), (ulong)i) : writer.TryAdd("12345"u8, 5, FileType.Fifo, (ulong)i));
        Assert.False(writer.Fits(5));
        Assert.False(writer.TryAdd("12345"u8, 5, FileType.Fifo, 3));
        Assert.Equal((2, record * 2), (writer.Count, writer.Length));
    }

    [Fact]
    public void Processor_lists_are_read_as_the_kernel_writes_them()
    {
        Assert.Equal([0, 1, 2, 3, 8, 10, 11], CpuSet.Parse("0-3,8,10-11\n"));
        Assert.Equal([0], CpuSet.Parse("0\n"));
        Assert.Empty(CpuSet.Parse("\n"));
    }

    [Fact]
    public void Mount_table_lines_are_read_with_their_escapes()
    {
        MountTableLine? line = MountTable.Parse(@"36 35 0:98 / /mnt/with\040space\134 rw,noatime shared:1 master:2 - fuse.orleansfs orleansfs rw,user_id=0");
        Assert.Equal(new MountTableLine(98, @"/mnt/with space\", "fuse.orleansfs", "orleansfs"), line);
        Assert.True(line!.Value.IsFuse);
        Assert.Null(MountTable.Parse("nonsense"));
        Assert.False(new MountTableLine(1, "/", "ext4", "/dev/vda").IsFuse);
    }

    [Fact]
    public void Time_outs_travel_as_seconds_and_nanoseconds()
    {
        foreach (TimeSpan time in new[] { TimeSpan.Zero, TimeSpan.FromMilliseconds(1500), TimeSpan.FromTicks(1), TimeSpan.FromHours(5), TimeSpan.MaxValue })
            Assert.Equal(time, new EntryReply { EntryTimeout = time }.EntryTimeout);
        Assert.Throws<ArgumentOutOfRangeException>(() => new EntryReply { EntryTimeout = TimeSpan.FromTicks(-1) });
    }

    [Fact]
    public void A_security_context_is_found_among_the_extensions()
    {
        byte[] raw = Hex.Parse(
            """
            18000000 01000000              # one security context, 24 bytes in all
            03000000 00000000              # its value has 3 bytes
            "sec" 00 "ctx" 00
            10000000 20000000 01000000 07000000
            """);
        RequestExtensions extensions = new(raw);
        Assert.True(extensions.TryGetSecurityContext(out ReadOnlySpan<byte> name, out ReadOnlySpan<byte> value));
        Assert.Equal("sec"u8.ToArray(), name.ToArray());
        Assert.Equal("ctx"u8.ToArray(), value.ToArray());
        Assert.True(extensions.TryGetSupplementaryGroup(out uint group));
        Assert.Equal(7u, group);
    }

    [Fact]
    public void Early_interrupts_are_kept_up_to_their_bound()
    {
        InterruptTable table = new();
        for (ulong unique = 1; unique <= 2000; unique++)
            table.Interrupt(unique);
        using CancellationTokenSource forgotten = new();
        using CancellationTokenSource remembered = new();
        table.Register(1, forgotten, caller: 0, byAnySignal: true);
        table.Register(2000, remembered, caller: 0, byAnySignal: true);
        Assert.False(forgotten.IsCancellationRequested);
        Assert.True(remembered.IsCancellationRequested);
    }
}
