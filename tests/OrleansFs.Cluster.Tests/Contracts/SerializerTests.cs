using System.Reflection;
using Microsoft.Extensions.DependencyInjection;
using Orleans;
using Orleans.Serialization;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Contracts;

/// <summary>Every type that travels comes back as it was, also in its rarest shape.</summary>
public sealed class SerializerTests : IDisposable
{
    private static readonly BlockHash Hash = BlockHash.Of([1, 2, 3]);

    private static readonly VerificationReport Verified = new()
    {
        Last = DateTimeOffset.UnixEpoch,
        LastBlocks = 1,
        LastDamaged = 2,
        Began = DateTimeOffset.MaxValue,
        Blocks = 3,
        TotalBlocks = 4,
        Damaged = 5,
        Unrepaired = 6,
    };

    private static readonly CopyName Nas = CopyName.Parse("nas");
    private static readonly SessionTicket Ticket = new(SessionId.New(), long.MinValue + 5);

    private static readonly Attributes Some = new()
    {
        Inode = new InodeNumber(ulong.MaxValue),
        Mode = Mode.S_IFREG | 0x1A4,
        LinkCount = 3,
        Uid = uint.MaxValue,
        Gid = 7,
        Size = long.MaxValue,
        AllocatedBytes = 1 << 20,
        AccessTime = new Timestamp(-1),
        ModifyTime = new Timestamp(long.MaxValue),
        ChangeTime = new Timestamp(long.MinValue),
        BirthTime = new Timestamp(1),
        Device = 0x0801,
        Flags = InodeFlags.AppendOnly | InodeFlags.NoDump,
    };

    private static readonly CopyDescription Copy = new()
    {
        Copy = Nas,
        Volume = VolumeId.New(),
        VolumeName = "fotos",
        Role = CopyRole.Replica,
        BlockSize = 131072,
        ReadOnly = true,
        Epoch = new Epoch(4),
        Contract = ulong.MaxValue,
        FencedBy = new Epoch(5),
    };

    private readonly ServiceProvider _services = new ServiceCollection().AddSerializer().BuildServiceProvider();

    public static TheoryData<string> Samples => [.. All().Select(s => s.GetType().ToString()).Distinct()];

    [Theory]
    [MemberData(nameof(Samples))]
    public void It_comes_back_as_it_was(string type)
    {
        foreach (object sample in All().Where(s => s.GetType().ToString() == type))
        {
            byte[] bytes = _services.GetRequiredService<Serializer>().SerializeToArray(sample);
            object back = _services.GetRequiredService<Serializer>().Deserialize<object>(bytes)!;
            Assert.Equivalent(Describe(sample), Describe(back), strict: true);
        }
    }

    [Fact]
    public void Every_type_of_the_contract_has_a_sample()
    {
        var contract = new[] { typeof(InodeNumber).Assembly, typeof(INamespaceGrain).Assembly }.SelectMany(a => a.GetTypes())
            .Where(t => t.GetCustomAttribute<GenerateSerializerAttribute>() is not null && !t.Name.Contains("Proxy_", StringComparison.Ordinal) && t.Namespace!.StartsWith("OrleansFs", StringComparison.Ordinal))
            .Select(t => t.IsGenericTypeDefinition ? t.Name : t.FullName!);
        var sampled = All().Select(s => s.GetType()).Select(t => t.IsGenericType ? t.Name : t.FullName!).ToHashSet();
        Assert.All(contract, c => Assert.Contains(c, sampled));
    }

    /// <summary>Orleans' codec for memory of anything takes three bytes for one, and forty times as long.</summary>
    [Fact]
    public void Bytes_are_written_as_bytes()
    {
        byte[] content = new byte[1 << 20];
        int length = _services.GetRequiredService<Serializer>().SerializeToArray<BytesReply>(new BytesReply { Bytes = content }).Length;
        Assert.InRange(length, content.Length, content.Length + 64);
        length = _services.GetRequiredService<Serializer>().SerializeToArray<ContentReply>(new ContentReply { Content = content.AsMemory() }).Length;
        Assert.InRange(length, content.Length, content.Length + 64);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(1)]
    [InlineData(16384)]
    [InlineData(1 << 20)]
    public void Content_comes_as_it_was_sent_and_its_array_is_given_back_once(int length)
    {
        var serializer = _services.GetRequiredService<Serializer>();
        byte[] content = new byte[length];
        new Random(length).NextBytes(content);
        byte[] message = serializer.SerializeToArray<ContentReply>(new ContentReply { Content = content.AsMemory() });
        var first = serializer.Deserialize<ContentReply>(message).Content;
        var second = serializer.Deserialize<ContentReply>(message).Content;
        Assert.Equal(content, first.Memory.ToArray());
        first.Release();
        first.Release();
        var third = serializer.Deserialize<ContentReply>(message).Content;
        var fourth = serializer.Deserialize<ContentReply>(message).Content;
        third.Memory.Span.CopyTo(content);
        Assert.All([second, third, fourth], p => Assert.Equal(content, p.Memory.ToArray()));
        if (length > 0)
            Assert.False(third.Memory.Span == fourth.Memory.Span);
        // What did not come over the network belongs to whoever sent it.
        Payload own = content.AsMemory();
        own.Release();
        Assert.Equal(content, own.Memory.ToArray());
    }

    [Fact]
    public void Payloads_are_not_copied_within_a_process()
    {
        var copier = _services.GetRequiredService<DeepCopier>();
        var reply = new BytesReply { Bytes = new byte[] { 1, 2, 3 } };
        var copy = copier.Copy(reply);
        Assert.True(reply.Bytes.Equals(copy.Bytes), "the memory of the copy is another");
        var page = new DirectoryPage { Rows = [], Names = [1], Attributes = null, IsLast = true };
        Assert.Same(page.Names, copier.Copy(page).Names);
    }

    public void Dispose() => _services.Dispose();

    private static IEnumerable<object> All() =>
    [
        InodeNumber.Root, new InodeNumber(ulong.MaxValue), new Lsn(long.MaxValue), new Epoch(9), VolumeId.New(), Nas, default(CopyName), Hash, BlockHash.Hole, new Timestamp(-5), Some,
        new AttributeChange { Mask = (AttributeMask)int.MaxValue, Mode = 1, Uid = 2, Gid = 3, Size = 4, AccessTime = new(5), ModifyTime = new(6), ChangeTime = new(7), Flags = InodeFlags.Immutable },
        new Caller(1, 2, 3, 4), new NewInode { Mode = 1, Device = 2, SymlinkTarget = new byte[] { 0, 255 } }, default(NewInode),
        new FileLock { Kind = LockKind.Write, Start = 1, End = ulong.MaxValue, Pid = 3, Owner = ulong.MaxValue, WholeFile = true },
        new SpaceReport { BlockSize = 1, TotalBytes = 2, FreeBytes = 3, AvailableBytes = 4, Inodes = 5, FreeInodes = 6 },
        new VolumeStatus { Volume = "v", Uuid = "u", Copy = "c", Role = "r", StoredBytes = 12, LastCommit = DateTimeOffset.UnixEpoch, ResidentBytes = null, Trouble = "none" },
        new VolumeStatus
        {
            Volume = "v", Uuid = "u", Copy = "c", Role = "r", CacheBytes = 1, LocalBytes = 2, PinnedBytes = 3, NotBackedUpBytes = 4, EvictedBlocks = 5, FetchedBlocks = 6, Verification = Verified,
            Replicas = [new ReplicaReport { Name = "nas", State = ReplicaState.Away, Lsn = 1, LagMutations = 2 }],
        },
        FsResult.Ok, (FsResult)Errno.ENOSPC, (FsResult<long>)5L, (FsResult<long>)Errno.EROFS, (FsResult<Attributes>)Some, (FsResult<VolumeStatus>)Errno.EIO,
        (FsResult<ReadOnlyMemory<byte>>)new ReadOnlyMemory<byte>([1, 2, 3, 4], 1, 2),
        new SessionId(Guid.NewGuid()), Ticket, new ChangeRequest(Ticket, 255, long.MaxValue), new WritePiece(long.MaxValue, 1), new SessionStart { Client = "host:/mnt", Contract = 1, Volume = VolumeId.New() }, Copy, CopyRole.Replica, new Promotion { Epoch = new Epoch(5), HandedOver = Nas }, default(Promotion),
        new AsideFile(new(9), [97, 98, 255]),
        new SessionGrant { Ticket = Ticket, Lease = TimeSpan.FromSeconds(30), Slots = 256, Copy = Copy, Run = Guid.NewGuid(), Lapsed = new Timestamp(-5), Gateway = "10.0.0.1:30000" }, new SessionPulse { Orphans = [InodeNumber.Root, new(7)], Gateway = "[::1]:30000" },
        new DirectoryRow(255, new InodeNumber(3), 4, long.MaxValue),
        new DirectoryPage { Rows = [new DirectoryRow(1, InodeNumber.Root, 4, 9)], Names = "a"u8.ToArray(), Attributes = [Some], IsLast = true },
        new DirectoryPage { Rows = [], Names = [], Attributes = null, IsLast = false },
        new BytesReply { Bytes = new ReadOnlyMemory<byte>([1, 2, 3, 4], 1, 2) }, (BytesReply)Errno.ERANGE, (ContentReply)Errno.EIO, new NameReply { Error = Errno.EEXIST }, new NameReply { Inode = Some, Directory = Some, NewDirectory = Some },
        new NameReply { Directory = Some, Changed = [InodeNumber.Root] },
        new BlockInfo { Hash = Hash, Length = 1, ReferenceCount = 2, LastUse = null, WeakChecksum = ulong.MaxValue, Residency = BlockResidency.Missing, IsPinned = true },
        new BlockInfo { Hash = Hash, Length = 1, ReferenceCount = 2, LastUse = new Timestamp(4), WeakChecksum = 0, Residency = BlockResidency.Local, IsPinned = false },
        BlockResidency.Evicted, new CopyAwayException(Nas), Verified, VerificationAction.Stop,
        .. Replication(), .. ByHash(),
    ];

    private static IEnumerable<object> ByHash()
    {
        var change = new VolumeChange
        {
            Lsn = new Lsn(9),
            Kind = ChangeKind.Renamed,
            Inode = new InodeNumber(7),
            Directory = InodeNumber.Root,
            Name = [1, 255],
            Path = "/b",
            OldPath = "/a",
            Resume = new Lsn(8),
        };
        return
        [
            ContentKind.File, new ContentName(ContentKind.Block, Hash), new ContentInfo { Size = long.MaxValue, AllocatedBytes = 1 },
            new RecordInfo { Site = ushort.MaxValue, Sequence = 1, Offset = 2, Length = 3, Lsn = new Lsn(4), Time = new Timestamp(-5) },
            new AppendName { Writer = Guid.NewGuid(), Number = long.MaxValue, IsRepeated = true }, new ContentLease { Hash = Hash, Size = 1, Holder = new InodeNumber(2), Ends = new Timestamp(3) },
            ChangeKind.Deleted, change, change with { Kind = ChangeKind.Deleted, Inode = null, Path = null, OldPath = null }, new ChangePage { Changes = [change], Next = new Lsn(10) },
            (FsResult<RecordInfo[]>)Array.Empty<RecordInfo>(), (FsResult<BlockHash[]>)new[] { Hash, BlockHash.Hole },
        ];
    }

    private static IEnumerable<object> Replication()
    {
        var block = new ShippedBlock { Hash = Hash, Length = 3, IsCompressed = true, Payload = new byte[] { 4, 0, 255 } };
        var entry = new JournalEntry { Lsn = new Lsn(7), Count = 2, Time = new Timestamp(-9), Effects = new byte[] { 1, 9 } };
        return
        [
            new EpochBeginning(new Epoch(3), new Lsn(5)),
            new MasterHello { Volume = VolumeId.New(), VolumeName = "fotos", BlockSize = 4096, Master = Nas, Epoch = new Epoch(3), Epochs = [new EpochBeginning(new Epoch(1), Lsn.Zero), new EpochBeginning(new Epoch(3), new Lsn(5))], Composes = true, Contract = 5 },
            ReplicaOutcome.Refused, ReplicaState.Ahead, block, BlockMessage.Of(block), entry,
            new ReplicaReply { Outcome = ReplicaOutcome.Ok, Hashes = [], Damaged = [] },
            new ReplicaReply
            {
                Outcome = ReplicaOutcome.Lacking, Epoch = new Epoch(3), EpochStart = new Lsn(5), Position = new Lsn(long.MaxValue), Hashes = [Hash, BlockHash.Hole], Damaged = [Hash],
                Run = Guid.NewGuid(), Blocks = 1, StoredBytes = 2, LastVerification = DateTimeOffset.UnixEpoch, Bytes = 3, IsLast = true, Next = Hash, Trouble = "none", FreeBytes = 4, BuildVersion = 5, Verification = Verified, Unbuilt = [6, 7], Contract = 8, Branch = Guid.NewGuid(),
            },
            new JournalShipment { Epoch = new Epoch(3), Entries = [entry], Gone = [Hash], Needed = new Lsn(6) },
            new CopyOffer { Copy = Guid.NewGuid(), Epoch = new Epoch(3), Bytes = long.MaxValue, Sha256 = Hash, Lsn = new Lsn(8), Discard = true },
            new FetchReply { Blocks = [block, block] },
            new JournalReply { Outcome = ReplicaOutcome.Gap, Entries = [entry], Trouble = "none" },
            new ReplicaReport { Name = "nas", State = ReplicaState.Away, Lsn = 1, LagMutations = 2 },
            new FileResidency
            {
                Size = 1, Blocks = 2, LocalBlocks = 3, PinnedBlocks = 4, SharedBlocks = 5, FreedBytes = 6, IsInFlight = true, Copies = 7, Replicas = [new ReplicaHolds { Name = "nas", Blocks = 8 }],
                Copy = "laptop", IsMaster = true, IsFenced = true, StoredBytes = 9, LocalBytes = 10, SharedBytes = 11, OnlyHereBlocks = 12, Links = 13,
            },
            ResidencyAction.Warm, new ResidencyChange { Blocks = 1, Changed = 2, Staying = 3 },
            new MasterReport { Volume = "fotos", Uuid = "u", Master = null, Epoch = 3, Lsn = 9, Replicas = [new ReplicaReport { Name = "nas", State = ReplicaState.Away, Lsn = 1, LagMutations = 2 }] },
            new ReplicaHolds { Name = "nas", Blocks = 8 }, new DrainStep { Target = new Lsn(1), Reached = new Lsn(2), Copies = 3, IsDone = true },
            new ReplicaReport
            {
                Name = "nas", State = ReplicaState.Following, Lsn = 1, LagMutations = 2, LagBytes = 3, LagSeconds = 0.5, Blocks = 4, StoredBytes = 5, LastContact = DateTimeOffset.UnixEpoch,
                LastVerification = DateTimeOffset.MaxValue, DamagedBlocks = 6, SentBytes = 7, Trouble = "none", LagBytesIsLeast = true,
                BuiltBlocks = 8, BuildBytes = 9, BuildSavedBytes = 10, BuildFailures = 11, BuildSeconds = 0.25, Verification = Verified, LacksBlocks = true,
            },
        ];
    }

    /// <summary>A value as text that shows every field; memory as its bytes.</summary>
    private static string Describe(object value) => value switch
    {
        Exception e => e.Message,
        FsResult<ReadOnlyMemory<byte>> r => r.IsOk ? Convert.ToHexString(r.Value.Span) : r.ToString(),
        NewInode n => $"{n with { SymlinkTarget = default }} {Convert.ToHexString(n.SymlinkTarget.Span)}",
        SessionPulse p => $"{string.Join(',', p.Orphans)} {p.Term} {p.Gateway}",
        DirectoryPage p => $"{string.Join(',', p.Rows)} {Convert.ToHexString(p.Names)} {(p.Attributes is null ? "null" : string.Join(',', p.Attributes))} {p.IsLast}",
        ShippedBlock b => $"{b with { Payload = default }} {Convert.ToHexString(b.Payload.Span)}",
        BlockMessage m => Describe(m.ToBlock()),
        JournalEntry e => $"{e with { Effects = default }} {Convert.ToHexString(e.Effects.Span)}",
        JournalShipment s => $"{s} {string.Join(',', s.Entries.Select(e => Describe(e)))} {string.Join(',', s.Gone)}",
        ReplicaReply r => $"{r} {string.Join(',', r.Hashes)} {string.Join(',', r.Damaged)}",
        FetchReply f => string.Join(',', f.Blocks.Select(b => Describe(b))),
        VolumeStatus { Replicas: { } replicas } v => $"{v with { Replicas = null }} {string.Join(',', replicas)}",
        MasterReport m => $"{m with { Replicas = [] }} {string.Join(',', m.Replicas)}",
        FileResidency f => $"{f with { Replicas = [] }} {string.Join(',', f.Replicas)}",
        _ => value.ToString()!,
    };
}
