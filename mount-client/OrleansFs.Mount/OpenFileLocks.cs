using OrleansFs.Fuse;

namespace OrleansFs.Mount;

/// <summary>
/// Whose fcntl(2) locks go with an open file. A close ends those of the process that closes (FLUSH says whose); those of the open file description (F_OFD_SETLK), which
/// the protocol does not tell from them, end with its last descriptor: nobody says their owner then (fs/fuse/file.c, fuse_prepare_release), so that it is kept here.
/// </summary>
/// <remarks>RELEASE comes when its close has returned. An owner that has locked through another open file since, as a process may, keeps its locks.</remarks>
internal sealed class OpenFileLocks
{
    private readonly Lock _lock = new();

    /// <summary>By open file; as many as there are locks at most, and as open files with locks.</summary>
    private readonly Dictionary<FileHandle, HashSet<ulong>> _owners = [];
    private readonly Dictionary<(NodeId Node, ulong Owner), FileHandle> _latest = [];

    /// <summary>A lock has been granted.</summary>
    public void Note(FileHandle file, NodeId node, ulong owner)
    {
        lock (_lock)
        {
            if (!_owners.TryGetValue(file, out var owners))
                _owners.Add(file, owners = []);
            owners.Add(owner);
            _latest[(node, owner)] = file;
        }
    }

    /// <summary>A close has ended the locks of an owner.</summary>
    public void Closed(FileHandle file, NodeId node, ulong owner)
    {
        lock (_lock)
        {
            _latest.Remove((node, owner));
            if (_owners.TryGetValue(file, out var owners) && owners.Remove(owner) && owners.Count == 0)
                _owners.Remove(file);
        }
    }

    /// <summary>An open file is gone: whose locks go with it.</summary>
    public IReadOnlyList<ulong> Released(FileHandle file, NodeId node)
    {
        lock (_lock)
        {
            if (!_owners.Remove(file, out var owners))
                return [];
            var released = new List<ulong>();
            foreach (ulong owner in owners)
            {
                if (_latest.TryGetValue((node, owner), out var latest) && latest == file && _latest.Remove((node, owner)))
                    released.Add(owner);
            }
            return released;
        }
    }
}
