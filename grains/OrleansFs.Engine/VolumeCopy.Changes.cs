using System.Text;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine;

/// <content>What has changed, out of the journal.</content>
public sealed partial class VolumeCopy
{
    private TaskCompletionSource _committedNext = new(TaskCreationOptions.RunContinuationsAsynchronously);

    internal FsResult<ChangePage> ReadChanges(InodeNumber directory, Lsn? after, int max)
    {
        if (max < 1)
            return Errno.EINVAL;
        if (!_metadata.GetAttributes(directory).TryGet(out var attributes, out var error))
            return error;
        if (!attributes.IsDirectory)
            return Errno.ENOTDIR;
        if (after is not { } position)
            return new ChangePage { Changes = [], Next = _metadata.Committed };
        if (position > _metadata.Committed)
            return Errno.ESTALE;
        try
        {
            var reader = new ChangeReader(_metadata, directory);
            for (int rows = 0; reader.Changes.Count < max && rows < Limits.ChangeRows; rows++)
            {
                if (_metadata.ReadJournal(position) is not { } row)
                {
                    // Nothing after it: fine where it is the newest position, a gap where the journal was emptied past it.
                    if (position < _metadata.Committed && rows == 0 && _metadata.ReadJournal(position) is null)
                        return Errno.ESTALE;
                    break;
                }
                if (row.Lsn.Value - row.Count != position.Value)
                    return Errno.ESTALE;
                reader.Take(row);
                position = row.Lsn;
            }
            return new ChangePage { Changes = [.. reader.Changes], Next = position };
        }
        catch (MetadataException e)
        {
            return e.Error;
        }
    }

    internal async ValueTask<FsResult> WaitForChangeAsync(Lsn after, CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                var next = Volatile.Read(ref _committedNext).Task;
                if (_metadata.Committed > after)
                    return FsResult.Ok;
                await next.WaitAsync(cancellation);
            }
        }
        catch (OperationCanceledException)
        {
            return Errno.EINTR;
        }
    }

    private void SignalCommitted() =>
        Interlocked.Exchange(ref _committedNext, new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).TrySetResult();
}

/// <summary>Makes changes to names and files out of transactions of the journal.</summary>
/// <remarks>Where a directory is, and what it is called, is as it is now; for one that is gone, as the transactions read so far say.</remarks>
internal sealed class ChangeReader(MetadataStore metadata, InodeNumber root)
{
    private readonly Dictionary<InodeNumber, bool> _isBelow = [];
    private readonly Dictionary<InodeNumber, InodeNumber> _parents = [];

    public List<VolumeChange> Changes { get; } = [];

    public void Take(in JournalRow row)
    {
        int before = Changes.Count;
        var events = JournalEvents.Of(row.Effects.Span);
        foreach (var (inode, parent) in events.Parents)
        {
            _parents[inode] = parent;
            _isBelow.Remove(inode);
        }
        foreach (var e in events.Names)
        {
            bool isNew = e.Inode is { } inode && events.Added.Contains(inode);
            var kind = e.Inode is null ? ChangeKind.Deleted : e.From is not null ? ChangeKind.Renamed : isNew ? ChangeKind.Created : ChangeKind.Linked;
            if (!IsBelow(e.Directory) && (e.From is not { } from || !IsBelow(from.Directory)))
                continue;
            Changes.Add(new VolumeChange
            {
                Lsn = row.Lsn,
                Resume = new Lsn(row.Lsn.Value - row.Count),
                Kind = kind,
                Inode = e.Inode,
                Directory = e.Directory,
                Name = e.Name,
                Path = PathOf(e.Directory, e.Name),
                OldPath = e.From is { } old ? PathOf(old.Directory, old.Name) : null,
            });
        }
        foreach (var (inode, hasContent) in events.Files)
            AddFile(row, inode, hasContent, events);
        if (Changes.Count > before)
            Changes[^1] = Changes[^1] with { Resume = row.Lsn };
    }

    private void AddFile(in JournalRow row, InodeNumber inode, bool hasContent, JournalEvents events)
    {
        // What is told with its name, and what an entry that came or went has changed of its directory, is not told again.
        if (events.Added.Contains(inode) || events.Names.Exists(e => e.Directory == inode || e.From?.Directory == inode))
            return;
        foreach (var (directory, name) in metadata.NamesOf(inode, Limits.WatchedNames))
        {
            if (!IsBelow(directory))
                continue;
            Changes.Add(new VolumeChange
            {
                Lsn = row.Lsn,
                Resume = new Lsn(row.Lsn.Value - row.Count),
                Kind = hasContent ? ChangeKind.Content : ChangeKind.Attributes,
                Inode = inode,
                Directory = directory,
                Name = name,
                Path = PathOf(directory, name),
            });
        }
    }

    private bool IsBelow(InodeNumber directory)
    {
        if (root == InodeNumber.Root || directory == root)
            return true;
        if (_isBelow.TryGetValue(directory, out bool known))
            return known;
        var seen = new List<InodeNumber>();
        bool isBelow = false;
        for (var at = directory; at != InodeNumber.Root && seen.Count < MetadataLimits.PathDepth;)
        {
            seen.Add(at);
            if (at == root)
            {
                isBelow = true;
                break;
            }
            if ((metadata.ParentOf(at) ?? (_parents.TryGetValue(at, out var gone) ? gone : null)) is not { } parent)
                break;
            at = parent;
        }
        foreach (var directoryOnTheWay in seen)
            _isBelow[directoryOnTheWay] = isBelow || directoryOnTheWay == root;
        return isBelow;
    }

    private string? PathOf(InodeNumber directory, byte[] name)
    {
        var path = new StringBuilder("/" + Encoding.UTF8.GetString(name));
        for (int depth = 0; directory != InodeNumber.Root; depth++)
        {
            if (depth == MetadataLimits.PathDepth || metadata.NamesOf(directory, 1) is not [var (parent, own)])
                return null;
            path.Insert(0, "/" + Encoding.UTF8.GetString(own));
            directory = parent;
        }
        return path.ToString();
    }
}
