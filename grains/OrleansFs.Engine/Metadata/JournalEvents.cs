using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>A name that came, went, or became another.</summary>
/// <param name="Directory">Where it is.</param>
/// <param name="Name">Its bytes.</param>
/// <param name="Inode">What it leads to; null where it went.</param>
/// <param name="From">What it was before; null where it was not renamed.</param>
internal sealed record NameEvent(InodeNumber Directory, byte[] Name, InodeNumber? Inode, (InodeNumber Directory, byte[] Name)? From);

/// <summary>What a transaction of the journal says to people who watch: names in their order, and which inodes are others.</summary>
internal sealed class JournalEvents
{
    public List<NameEvent> Names { get; } = [];

    /// <summary>Inodes that are new.</summary>
    public HashSet<InodeNumber> Added { get; } = [];

    /// <summary>Inodes whose row has changed, and whether their content has.</summary>
    public Dictionary<InodeNumber, bool> Files { get; } = [];

    /// <summary>Where directories are, or were when they went.</summary>
    public Dictionary<InodeNumber, InodeNumber> Parents { get; } = [];

    /// <exception cref="MetadataException">It cannot be read.</exception>
    public static JournalEvents Of(ReadOnlySpan<byte> value)
    {
        var events = new JournalEvents();
        try
        {
            var reader = EffectReader.OfJournal(value);
            Span<ManifestBlock> blocks = new ManifestBlock[MetadataLimits.SegmentBlocks];
            (InodeNumber Directory, byte[] Name)? moving = null;
            bool isMove = false;
            while (!reader.AtEnd)
            {
                var kind = reader.Kind();
                switch (kind)
                {
                    case EffectKind.Rename:
                        isMove = true;
                        moving = null;
                        break;
                    case EffectKind.DeleteDentry:
                        var (parent, name) = (reader.Inode(), reader.Bytes().ToArray());
                        if (isMove)
                            moving = (parent, name);
                        else
                            events.Names.Add(new NameEvent(parent, name, null, null));
                        break;
                    case EffectKind.PutDentry:
                        var dentry = reader.Dentry();
                        events.Names.Add(new NameEvent(dentry.Parent, dentry.Name.ToArray(), dentry.Inode, isMove ? moving : null));
                        isMove = false;
                        break;
                    default:
                        events.TakeOther(kind, ref reader, blocks);
                        break;
                }
            }
            return events;
        }
        catch (InvalidDataException e)
        {
            throw new MetadataException(Errno.EIO, 0, e.Message);
        }
    }

    private void TakeOther(EffectKind kind, ref EffectReader reader, Span<ManifestBlock> blocks)
    {
        switch (kind)
        {
            case EffectKind.AddInode:
                Note(reader.Row(), isNew: true);
                reader.Bytes();
                break;
            case EffectKind.PutInode:
                Note(reader.Row(), isNew: false);
                break;
            case EffectKind.DeleteInode:
                Files.Remove(reader.Inode());
                break;
            default:
                JournalContent.Skip(kind, ref reader, blocks);
                break;
        }
    }

    private void Note(in InodeRow row, bool isNew)
    {
        var inode = row.Attributes.Inode;
        if (row.Attributes.IsDirectory)
            Parents[inode] = row.Parent;
        if (isNew)
            Added.Add(inode);
        Files[inode] = row.HashChanged || Files.GetValueOrDefault(inode);
    }
}
