using System.Buffers.Binary;
using System.Text;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>Reads the records of <see cref="EffectWriter"/>. Spans that it gives lie in the value read.</summary>
internal ref struct EffectReader(ReadOnlySpan<byte> records)
{
    private readonly int _length = records.Length;
    private ReadOnlySpan<byte> _rest = records;

    /// <summary>Bytes read.</summary>
    public readonly int Position => _length - _rest.Length;

    public readonly bool AtEnd => _rest.IsEmpty;

    /// <summary>A reader of a journal value, past its version byte.</summary>
    /// <exception cref="InvalidDataException">A version that this program does not know.</exception>
    public static EffectReader OfJournal(ReadOnlySpan<byte> value) =>
        value.Length > 0 && value[0] is >= 1 and <= EffectWriter.Version ? new(value[1..]) : throw new InvalidDataException("journal record of an unknown version");

    public EffectKind Kind() => (EffectKind)Byte();

    public InodeNumber Inode() => new(Number());

    public InodeRow Row()
    {
        var attributes = new Attributes
        {
            Inode = Inode(),
            Mode = (uint)Number(),
            LinkCount = (uint)Number(),
            Uid = (uint)Number(),
            Gid = (uint)Number(),
            Size = (long)Number(),
            AllocatedBytes = (long)Number(),
            AccessTime = Time(),
            ModifyTime = Time(),
            ChangeTime = Time(),
            BirthTime = Time(),
            Device = (uint)Number(),
            Flags = (InodeFlags)Number(),
        };
        var (parent, manifest, xattrs, bits) = (Inode(), Number(), (int)Number(), Byte());
        return new InodeRow
        {
            Attributes = attributes,
            Parent = parent,
            Manifest = manifest,
            XattrBytes = xattrs,
            Linkable = (bits & 1) != 0,
            HashChanged = (bits & 6) != 0,
            Hash = (bits & 4) != 0 ? Hash() : null,
        };
    }

    public PutDentry Dentry() => new() { Parent = Inode(), Name = Bytes(), Cookie = (long)Number(), Inode = Inode(), Type = Byte() };

    /// <param name="blocks">Takes the blocks: room for a segment's.</param>
    public SetBlocks Blocks(Span<ManifestBlock> blocks)
    {
        var (manifest, segment, time, birth, count) = (Number(), (long)Number(), Time(), new Lsn((long)Number()), (int)Number());
        for (int i = 0; i < count; i++)
        {
            long index = segment * MetadataLimits.SegmentBlocks + Byte();
            var hash = Hash();
            blocks[i] = hash.IsHole
                ? new ManifestBlock(index, hash, 0, 0, 0, 0)
                : new ManifestBlock(index, hash, (int)Number(), unchecked((ulong)Eight()), (long)Number(), Byte());
        }
        return new SetBlocks { Manifest = manifest, Segment = segment, Time = time, Birth = birth, Blocks = blocks[..count] };
    }

    public DropBlocks Drop() => new(Number(), (long)Number(), (long)Number(), Time());

    public MoveSegments Move() => new(Number(), Number(), (long)Number(), (long)Number());

    public VolumeState State()
    {
        var (inode, cookie, clock, lsn) = (Number(), (long)Number(), Time(), new Lsn((long)Number()));
        var counters = new Counters
        {
            Files = (long)Number(),
            Directories = (long)Number(),
            Others = (long)Number(),
            LogicalBytes = (long)Number(),
            Orphans = (long)Number(),
        };
        return new VolumeState(inode, cookie, clock, lsn, counters);
    }

    public EpochStart Epoch() => new(new Epoch((long)Number()), Lsn(), Time());

    public Branch Branch() => new(Lsn(), new Guid(Take(16)));

    public AddRecord Record()
    {
        var inode = Inode();
        var record = new RecordInfo { Site = (ushort)Number(), Sequence = (long)Number(), Offset = (long)Number(), Length = (long)Number(), Lsn = Lsn(), Time = Time() };
        long number = (long)Number();
        return new AddRecord(inode, record, number == 0 ? null : new AppendName { Number = number, Writer = new Guid(Take(16)) });
    }

    public ReplicaRow Replica()
    {
        var (name, acked, isHeld, held) = (Copy(), Lsn(), Byte() != 0, Lsn());
        return new ReplicaRow(name, acked, isHeld ? held : null, Time(), Time(), Byte() != 0);
    }

    public CopyName Copy() => CopyName.Parse(Encoding.UTF8.GetString(Bytes()));

    public Residency Residency() => (Residency)Byte();

    public Fence Fence() => new(new Epoch((long)Number()), Lsn());

    public Guid Session() => new(Bytes());

    public KeptSession KeptSession()
    {
        var (id, client) = (Session(), Encoding.UTF8.GetString(Bytes()));
        var lapsed = OptionalTime();
        return new KeptSession(id, client, lapsed, OptionalTime());
    }

    public ReplyKey Reply() => new(Session(), (int)Number(), (long)Number());

    public Lsn Lsn() => new((long)Number());

    public ReadOnlySpan<byte> Bytes() => Take(checked((int)Number()));

    public BlockHash Hash() => new(Take(BlockHash.Size));

    public Timestamp Time() => new(Eight());

    private Timestamp? OptionalTime()
    {
        bool isThere = Byte() != 0;
        var time = Time();
        return isThere ? time : null;
    }

    public ulong Number()
    {
        ulong value = 0;
        for (int shift = 0; shift < 64; shift += 7)
        {
            byte next = Byte();
            value |= (ulong)(next & 0x7F) << shift;
            if (next < 0x80)
                return value;
        }
        throw new InvalidDataException("journal record with a number that does not end");
    }

    private byte Byte() => Take(1)[0];

    private long Eight() => BinaryPrimitives.ReadInt64LittleEndian(Take(8));

    private ReadOnlySpan<byte> Take(int bytes)
    {
        if (bytes > _rest.Length)
            throw new InvalidDataException("journal record that ends too early");
        var taken = _rest[..bytes];
        _rest = _rest[bytes..];
        return taken;
    }
}
