using System.Globalization;
using System.Runtime.Versioning;
using System.Text;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Native;
using OrleansFs.Model;

namespace OrleansFs.Engine.Export;

/// <summary>What an export did.</summary>
/// <param name="Files">Files copied out.</param>
/// <param name="Bytes">Their sizes.</param>
/// <param name="Others">Directories and symbolic links made.</param>
/// <param name="Removed">Names that the never replicated mutations removed, or gave to something else.</param>
/// <param name="Problems">What could not be copied out, a line each.</param>
public sealed record ExportReport(long Files, long Bytes, long Others, long Removed, IReadOnlyList<string> Problems);

/// <summary>
/// Copies out of a former master what its never replicated mutations made or changed: files whole, as they are now, under their paths. What the other master has meanwhile made of the same files is not looked at: to
/// bring both together is for the user.
/// </summary>
/// <remarks>
/// What was changed stands in the journal after the position at which the other epoch began; the tree is then walked, and every name is copied out that those mutations made, or whose inode they changed. A mark on an access
/// time is such a change too, so a file may be among them that was only read. A name that is no UTF-8 has its other bytes as %XX.
/// </remarks>
public sealed class VolumeExport : IInodeHolder
{
    /// <summary>Under the target: the tree.</summary>
    public const string FilesFolder = "files";

    /// <summary>Under the target: what was changed and removed, a line each.</summary>
    public const string ListFile = "changes.txt";

    private const int Piece = 1 << 20;

    private readonly VolumeCopy _volume;
    private readonly string _target;
    private readonly IProgress<long>? _progress;
    private readonly LocalSession _session;
    private readonly HashSet<InodeNumber> _inodes = [];
    private readonly Dictionary<(InodeNumber Directory, string Name), bool> _names = [];
    private readonly List<string> _list = [];
    private readonly List<string> _problems = [];
    private long _files;
    private long _bytes;
    private long _others;

    /// <param name="volume">The former master, opened read-only.</param>
    /// <param name="target">A folder that is empty or does not exist.</param>
    /// <param name="progress">Told how many files have been copied.</param>
    public VolumeExport(VolumeCopy volume, string target, IProgress<long>? progress)
    {
        _volume = volume;
        _target = target;
        _progress = progress;
        _session = volume.OpenSession(this);
    }

    bool IInodeHolder.Holds(InodeNumber inode) => false;

    /// <param name="all">The whole tree, and not only what was never replicated.</param>
    /// <param name="cancellation">Ends it; what was copied stays.</param>
    /// <exception cref="VolumeException">There is nothing to tell what was replicated by, or the target is not empty.</exception>
    [UnsupportedOSPlatform("windows")]
    public async Task<ExportReport> RunAsync(bool all, CancellationToken cancellation)
    {
        using (_session)
        {
            if (!all)
                ReadChanges();
            if (Directory.Exists(_target) && Directory.EnumerateFileSystemEntries(_target).Any())
                throw new VolumeException($"{_target} is not empty: name a new folder");
            Directory.CreateDirectory(Path.Combine(_target, FilesFolder));
            await WalkAsync(all, cancellation);
            var removed = _names.Where(n => !n.Value).Select(n => n.Key).ToList();
            foreach (var (directory, name) in removed)
                _list.Add($"removed  {name} in {(PathOf(directory) is { } path ? path : "a directory that is gone")}");
            await File.WriteAllLinesAsync(Path.Combine(_target, ListFile), [.. _list, .. _problems.Select(p => $"missing  {p}")], cancellation);
            return new ExportReport(_files, _bytes, _others, removed.Count, _problems);
        }
    }

    private readonly Dictionary<InodeNumber, string> _directories = new() { [InodeNumber.Root] = "/" };

    /// <summary>Directories of the tree, by path.</summary>
    private readonly Dictionary<string, Attributes> _modes = [];

    private string? PathOf(InodeNumber directory) => _directories.GetValueOrDefault(directory);

    private void ReadChanges()
    {
        if (_volume.FencedAt is not { } since)
        {
            throw new VolumeException($"no other copy is known to have taken over from the one in {_volume.DataFolder}: mount it once with --cluster, so that it learns of the other, or export everything with --all");
        }
        using var journal = JournalReader.Open(_volume.MetadataPath);
        while (true)
        {
            var rows = journal.Read(since, Replication.ReplicationLimits.ShipmentBytes, Replication.ReplicationLimits.ShipmentRows)
                ?? throw new VolumeException($"the journal does not go back to mutation {since} any more: export everything with --all");
            if (rows.Count == 0)
                break;
            foreach (var content in rows.Select(r => JournalContent.Of(r.Effects.Span)))
            {
                _inodes.UnionWith(content.Inodes);
                foreach (var (directory, name) in content.Names)
                    _names[(directory, Text(name))] = false;
            }
            since = rows[^1].Lsn;
        }
        // Synced before the last end of its process, and in no transaction yet.
        _inodes.UnionWith(_volume.Files.Dirty.Oldest(int.MaxValue).Select(i => i.Number));
    }

    [UnsupportedOSPlatform("windows")]
    private async Task WalkAsync(bool all, CancellationToken cancellation)
    {
        var waiting = new Stack<InodeNumber>([InodeNumber.Root]);
        while (waiting.TryPop(out var directory))
        {
            string path = _directories[directory];
            foreach (var entry in await ListAsync(directory, cancellation))
            {
                cancellation.ThrowIfCancellationRequested();
                string name = Text(entry.Name);
                string child = path == "/" ? $"/{name}" : $"{path}/{name}";
                bool isNamed = _names.ContainsKey((directory, name));
                if (isNamed)
                    _names[(directory, name)] = true;
                if (Mode.IsDirectory(entry.Attributes.Mode))
                {
                    _directories[entry.Attributes.Inode] = child;
                    _modes[child] = entry.Attributes;
                    waiting.Push(entry.Attributes.Inode);
                }
                if (all || isNamed || (_inodes.Contains(entry.Attributes.Inode) && !Mode.IsDirectory(entry.Attributes.Mode)))
                    await CopyAsync(entry.Attributes, child, cancellation);
            }
        }
    }

    [UnsupportedOSPlatform("windows")]
    private async Task CopyAsync(Attributes attributes, string path, CancellationToken cancellation)
    {
        string target = TargetOf(path);
        try
        {
            if (Mode.IsDirectory(attributes.Mode))
            {
                MakeParents(path);
                MakeDirectory(attributes, target);
                _others++;
            }
            else if (Mode.IsRegular(attributes.Mode))
            {
                MakeParents(path);
                await CopyContentAsync(attributes, target, cancellation);
            }
            else if ((attributes.Mode & Mode.S_IFMT) == Mode.S_IFLNK)
            {
                MakeParents(path);
                var link = await _session.ReadLinkAsync(attributes.Inode, cancellation);
                if (!link.TryGet(out var text, out var error))
                    throw new IOException($"{error} where it says what it links to");
                SymbolicLink.Make(target, text.Span);
                _others++;
            }
            else
            {
                _list.Add($"special  {path} (mode {Convert.ToString(attributes.Mode, 8)}): not copied out");
                return;
            }
            _list.Add($"changed  {path}");
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            _problems.Add($"{path}: {failure.Message}");
        }
    }

    /// <summary>What a file or directory may have of its mode: without its owner, nothing by which who runs a program becomes somebody else.</summary>
    private static UnixFileMode ModeOf(Attributes attributes) => (UnixFileMode)(attributes.Mode & 0x1FF);

    private string TargetOf(string path) => Path.Combine(_target, FilesFolder) + path;

    /// <summary>Makes the directories above a path that are not there yet: those in which nothing else is copied out.</summary>
    [UnsupportedOSPlatform("windows")]
    private void MakeParents(string path)
    {
        for (int end = path.IndexOf('/', 1); end > 0; end = path.IndexOf('/', end + 1))
        {
            if (!Directory.Exists(TargetOf(path[..end])))
                MakeDirectory(_modes[path[..end]], TargetOf(path[..end]));
        }
    }

    [UnsupportedOSPlatform("windows")]
    private static void MakeDirectory(Attributes attributes, string target)
    {
        // Who exports writes into it, whatever its mode was.
        const UnixFileMode Own = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
        Directory.CreateDirectory(target, Own);
        File.SetUnixFileMode(target, ModeOf(attributes) | Own);
    }

    [UnsupportedOSPlatform("windows")]
    private async Task CopyContentAsync(Attributes attributes, string target, CancellationToken cancellation)
    {
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, BufferSize = 0, UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite };
        await using (var file = new FileStream(target, options))
        {
            try
            {
                await CopyContentAsync(attributes, file, cancellation);
            }
            catch
            {
                // A part of a file is not to be taken for it.
                File.Delete(target);
                throw;
            }
        }
        File.SetLastWriteTimeUtc(target, DateTime.UnixEpoch.AddTicks(attributes.ModifyTime.Nanoseconds / TimeSpan.NanosecondsPerTick));
        _files++;
        _bytes += attributes.Size;
        _progress?.Report(_files);
    }

    [UnsupportedOSPlatform("windows")]
    private async Task CopyContentAsync(Attributes attributes, FileStream file, CancellationToken cancellation)
    {
        byte[] piece = new byte[Piece];
        for (long at = 0; at < attributes.Size;)
        {
            var read = await _session.ReadAsync(attributes.Inode, at, piece, cancellation);
            if (!read.TryGet(out int length, out var error))
                throw new IOException(string.Create(CultureInfo.InvariantCulture, $"{error} at byte {at}: a block is only on other copies; mounted with --data and --cluster, the file can be read"));
            if (length == 0)
                break;
            // Holes stay holes.
            if (piece.AsSpan(0, length).ContainsAnyExcept((byte)0))
                RandomAccess.Write(file.SafeFileHandle, piece.AsSpan(0, length), at);
            at += length;
        }
        RandomAccess.SetLength(file.SafeFileHandle, attributes.Size);
        File.SetUnixFileMode(file.SafeFileHandle, ModeOf(attributes));
        file.Flush(flushToDisk: true);
    }

    private async Task<List<(byte[] Name, Attributes Attributes)>> ListAsync(InodeNumber directory, CancellationToken cancellation)
    {
        var entries = new Entries();
        long before;
        do
        {
            before = entries.Cookie;
            entries.Room = Entries.PerCall;
            var read = await _session.ReadDirectoryAsync(directory, entries.Cookie, entries, withAttributes: true, cancellation);
            if (!read.IsOk)
            {
                _problems.Add($"{_directories[directory]}: {read.Error}");
                break;
            }
        }
        while (entries.Cookie != before);
        return entries.List;
    }

    /// <summary>UTF-8 as it is, other bytes and what could not be a name of the target as %XX.</summary>
    private static string Text(byte[] name)
    {
        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(name);
        }
        catch (DecoderFallbackException)
        {
            return string.Concat(name.Select(b => b is > 0x20 and < 0x7F and not (byte)'%' ? ((char)b).ToString() : $"%{b:X2}"));
        }
    }

    private sealed class Entries : IDirectorySink
    {
        public const int PerCall = 1024;

        public List<(byte[] Name, Attributes Attributes)> List { get; } = [];

        public long Cookie { get; private set; }

        public int Room { get; set; }

        public bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes)
        {
            if (Room-- <= 0)
                return false;
            Cookie = cookie;
            if (attributes is { } known && !name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8))
                List.Add((name.ToArray(), known));
            return true;
        }
    }
}
