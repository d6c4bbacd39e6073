using System.Text;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>
/// Effects on names and attributes. <c>Execute</c> is what a mutation calls: it applies the effect and notes it. <c>Apply</c> is SQL alone, the same for a
/// master's mutation, for
/// a transaction that is built again, and for a replica. Effects on content are in MetadataStore.ApplyContent.cs.
/// </content>
internal sealed partial class MetadataStore
{
    private void Execute(in InodeRow row, ReadOnlySpan<byte> target)
    {
        ApplyAddInode(row, target);
        _effects.AddInode(row, target);
    }

    private void Execute(in InodeRow row)
    {
        ApplyPutInode(row);
        _effects.PutInode(row);
    }

    private void ExecuteDeleteInode(InodeNumber inode)
    {
        _sql.DeleteInode.Bind(1, inode).Run();
        _effects.DeleteInode(inode);
    }

    /// <remarks>The mutation puts the name into <see cref="_dentries"/> when it is complete.</remarks>
    private void Execute(in PutDentry dentry, bool exists)
    {
        _dentries.Remove(dentry.Parent, dentry.Name);
        ApplyPutDentry(dentry, exists);
        _effects.PutDentry(dentry);
    }

    private void ExecuteDeleteDentry(InodeNumber parent, ReadOnlySpan<byte> name)
    {
        _dentries.Remove(parent, name);
        _sql.DeleteDentry.Bind(1, parent).Bind(2, name).Run();
        _effects.DeleteDentry(parent, name);
    }

    private void ExecuteSetXattr(InodeNumber inode, ReadOnlySpan<byte> name, ReadOnlySpan<byte> value)
    {
        _sql.SetXattr.Bind(1, inode).Bind(2, name).Bind(3, value).Run();
        _effects.SetXattr(inode, name, value);
    }

    private void ExecuteDeleteXattr(InodeNumber inode, ReadOnlySpan<byte> name)
    {
        _sql.DeleteXattr.Bind(1, inode).Bind(2, name).Run();
        _effects.DeleteXattr(inode, name);
    }

    private void ExecuteDeleteXattrs(InodeNumber inode)
    {
        _sql.DeleteXattrs.Bind(1, inode).Run();
        _effects.DeleteXattrs(inode);
    }

    private void ApplyAddInode(in InodeRow row, ReadOnlySpan<byte> target)
    {
        var s = BindRow(_sql.AddInode, row);
        if (target.IsEmpty)
            s.BindNull(18);
        else
            s.Bind(18, target);
        BindHash(s, row).Run();
    }

    private void ApplyPutInode(in InodeRow row) => BindHash(BindRow(_sql.PutInode, row).Bind(18, row.HashChanged ? 1L : 0), row).Run();

    private static Statement BindHash(Statement s, in InodeRow row)
    {
        if (row.Hash is { } hash)
            return s.Bind(19, hash);
        s.BindNull(19);
        return s;
    }

    private static Statement BindRow(Statement s, in InodeRow row)
    {
        var a = row.Attributes;
        return s.Bind(1, a.Inode).Bind(2, (long)a.Mode).Bind(3, (long)a.LinkCount).Bind(4, (long)a.Uid).Bind(5, (long)a.Gid).Bind(6, a.Size).Bind(7, a.AllocatedBytes)
            .Bind(8, a.AccessTime).Bind(9, a.ModifyTime).Bind(10, a.ChangeTime).Bind(11, a.BirthTime).Bind(12, (long)a.Device).Bind(13, (long)a.Flags).Bind(14, row.Parent)
            .Bind(15, row.Manifest).Bind(16, (long)row.XattrBytes).Bind(17, row.Linkable ? 1L : 0);
    }

    private void ApplyPutDentry(in PutDentry dentry, bool exists)
    {
        if (exists)
            _sql.PutDentry.Bind(1, dentry.Parent).Bind(2, dentry.Name).Bind(3, dentry.Inode).Bind(4, (long)dentry.Type).Run();
        else
            _sql.AddDentry.Bind(1, dentry.Parent).Bind(2, dentry.Name).Bind(3, dentry.Cookie).Bind(4, dentry.Inode).Bind(5, (long)dentry.Type).Run();
    }

    /// <summary>Applies effects that were read: of the open transaction when it is built again, or of a journal.</summary>
    /// <param name="reader">The effects.</param>
    /// <param name="adopted">Has the same effects, and is told what each of them is.</param>
    /// <returns>Whether the last of them was the volume's state, as it is of every transaction that is whole.</returns>
    private bool Replay(EffectReader reader, EffectWriter? adopted = null)
    {
        bool whole = false;
        _dentries.Clear();
        Span<ManifestBlock> blocks = new ManifestBlock[MetadataLimits.SegmentBlocks];
        while (!reader.AtEnd)
        {
            int start = reader.Position;
            var kind = reader.Kind();
            whole = kind == EffectKind.PutState;
            switch (kind)
            {
                case EffectKind.AddInode:
                    var added = reader.Row();
                    ApplyAddInode(added, reader.Bytes());
                    break;
                case EffectKind.PutInode:
                    ApplyPutInode(reader.Row());
                    break;
                case EffectKind.DeleteInode:
                    _sql.DeleteInode.Bind(1, reader.Inode()).Run();
                    break;
                case EffectKind.PutDentry:
                    var dentry = reader.Dentry();
                    ApplyPutDentry(dentry, ReadDentry(dentry.Parent, dentry.Name) is not null);
                    break;
                case EffectKind.DeleteDentry:
                    _sql.DeleteDentry.Bind(1, reader.Inode()).Bind(2, reader.Bytes()).Run();
                    break;
                case EffectKind.SetXattr:
                    _sql.SetXattr.Bind(1, reader.Inode()).Bind(2, reader.Bytes()).Bind(3, reader.Bytes()).Run();
                    break;
                case EffectKind.DeleteXattr:
                    _sql.DeleteXattr.Bind(1, reader.Inode()).Bind(2, reader.Bytes()).Run();
                    break;
                case EffectKind.DeleteXattrs:
                    _sql.DeleteXattrs.Bind(1, reader.Inode()).Run();
                    break;
                case EffectKind.PutState:
                    ApplyState(reader.State());
                    break;
                case EffectKind.BeginEpoch:
                    Apply(reader.Epoch());
                    break;
                case EffectKind.BeginBranch:
                    Apply(reader.Branch());
                    break;
                case EffectKind.PutReplica:
                    Apply(reader.Replica());
                    break;
                case EffectKind.DeleteReplica:
                    _sql.DeleteReplica.BindText(1, reader.Copy().Value).Run();
                    break;
                case EffectKind.Fence:
                    Apply(reader.Fence());
                    break;
                case EffectKind.PutSession:
                    ApplyPutSession(reader.KeptSession());
                    break;
                case EffectKind.DeleteSession:
                    ApplyDeleteSession(reader.Session());
                    break;
                case EffectKind.PutReply:
                    ApplyPutReply(reader.Reply(), reader.Bytes());
                    break;
                default:
                    if (!ReplayRecords(kind, ref reader))
                        ReplayContent(kind, ref reader, blocks);
                    break;
            }
            adopted?.NoteAdopted(kind, start, reader.Position);
        }
        return whole;
    }

    private void ApplyState(in VolumeState state)
    {
        var c = state.Counters;
        _sql.PutVolume.Bind(1, state.NextInode).Bind(2, state.NextCookie).Bind(3, state.Clock).Bind(4, state.Lsn.Value).Bind(5, c.Files).Bind(6, c.Directories).Bind(7, c.Others)
            .Bind(8, c.LogicalBytes).Bind(9, _counters.ReferencedBytes).Bind(10, _counters.Blocks).Bind(11, _counters.UniqueBytes).Bind(12, _counters.StoredBytes)
            .Bind(13, _counters.DeadBlocks).Bind(14, _counters.DeadBytes).Bind(15, c.Orphans).Bind(16, _counters.LocalBytes).Run();
    }
}
