using System.Runtime.InteropServices;
using OrleansFs.Engine.Blocks;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>What a transaction of the journal says, without applying it: which inodes and names it changes, which blocks it names, which it gives up.</summary>
internal sealed class JournalContent
{
    private readonly HashSet<BlockHash> _seen = [];

    private JournalContent()
    {
    }

    /// <summary>Inodes whose row it adds, changes or deletes.</summary>
    public HashSet<InodeNumber> Inodes { get; } = [];

    /// <summary>Names that it makes, changes or removes.</summary>
    public List<(InodeNumber Directory, byte[] Name)> Names { get; } = [];

    /// <summary>Blocks that manifests come to name, each once.</summary>
    public List<BlockReference> Blocks { get; } = [];

    /// <summary>Where each of <see cref="Blocks"/> is named first.</summary>
    public List<JournalPlace> Places { get; } = [];

    /// <summary>Of <see cref="Blocks"/> those that were written to a file for it.</summary>
    public HashSet<BlockHash> Stored { get; } = [];

    /// <summary>Blocks whose rows go: their files may go too, where no later transaction has made a row again.</summary>
    public List<BlockHash> Collected { get; } = [];

    /// <summary>The volume's row afterwards; null where the transaction is not whole.</summary>
    public VolumeState? State { get; private set; }

    /// <param name="value">A journal value: version byte and records.</param>
    /// <exception cref="InvalidDataException">It cannot be read.</exception>
    public static JournalContent Of(ReadOnlySpan<byte> value)
    {
        var content = new JournalContent();
        var reader = EffectReader.OfJournal(value);
        Span<ManifestBlock> blocks = new ManifestBlock[MetadataLimits.SegmentBlocks];
        while (!reader.AtEnd)
            content.Take(reader.Kind(), ref reader, blocks);
        return content;
    }

    /// <summary>Reads past a record.</summary>
    public static void Skip(EffectKind kind, ref EffectReader reader, Span<ManifestBlock> blocks) => new JournalContent().Take(kind, ref reader, blocks);

    private void Take(EffectKind kind, ref EffectReader reader, Span<ManifestBlock> blocks)
    {
        switch (kind)
        {
            case EffectKind.AddInode:
                Inodes.Add(reader.Row().Attributes.Inode);
                reader.Bytes();
                break;
            case EffectKind.PutInode:
                Inodes.Add(reader.Row().Attributes.Inode);
                break;
            case EffectKind.DeleteInode:
            case EffectKind.DeleteXattrs:
                Inodes.Add(reader.Inode());
                break;
            case EffectKind.PutDentry:
                var dentry = reader.Dentry();
                Names.Add((dentry.Parent, dentry.Name.ToArray()));
                break;
            case EffectKind.DeleteDentry:
                Names.Add((reader.Inode(), reader.Bytes().ToArray()));
                break;
            case EffectKind.SetXattr:
                Inodes.Add(reader.Inode());
                reader.Bytes();
                reader.Bytes();
                break;
            case EffectKind.DeleteXattr:
                Inodes.Add(reader.Inode());
                reader.Bytes();
                break;
            case EffectKind.SetBlocks:
                var set = reader.Blocks(blocks);
                foreach (ref readonly var block in set.Blocks)
                    Name(set.Manifest, block);
                break;
            case EffectKind.DropBlocks:
                reader.Drop();
                break;
            case EffectKind.MoveSegments:
                reader.Move();
                break;
            case EffectKind.PutState:
                State = reader.State();
                break;
            case EffectKind.DeleteBlock:
                Collected.Add(reader.Hash());
                break;
            case EffectKind.BeginEpoch:
                reader.Epoch();
                break;
            case EffectKind.BeginBranch:
                reader.Branch();
                break;
            case EffectKind.AddRecord:
                Inodes.Add(reader.Record().Inode);
                break;
            case EffectKind.TrimRecords:
                Inodes.Add(reader.Inode());
                reader.Number();
                reader.Number();
                break;
            case EffectKind.DropRecords:
                Inodes.Add(reader.Inode());
                break;
            case EffectKind.Rename:
                break;
            case EffectKind.PutSession:
                reader.KeptSession();
                break;
            case EffectKind.DeleteSession:
                reader.Session();
                break;
            case EffectKind.PutReply:
                reader.Reply();
                reader.Bytes();
                break;
            default:
                throw new InvalidDataException($"journal record of unknown kind {(byte)kind}");
        }
    }

    private void Name(ulong manifest, in ManifestBlock block)
    {
        if (block.WriteSequence > 0 && !block.Hash.IsHole)
            Stored.Add(block.Hash);
        if (block.Hash.IsHole || !_seen.Add(block.Hash))
            return;
        Blocks.Add(new BlockReference(block.Hash, block.Length));
        Places.Add(new JournalPlace(manifest, block.Index));
    }
}

/// <summary>A place in a file: its manifest's key and the block's number.</summary>
internal readonly record struct JournalPlace(ulong Manifest, long Index);
