using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>Files and directories by path.</content>
public sealed partial class VolumeClient
{
    private const uint FileMode = Mode.S_IFREG | 0x1A4; // rw-r--r--
    private const uint DirectoryMode = Mode.S_IFDIR | 0x1ED; // rwxr-xr-x

    public ValueTask<FsResult<Attributes>> StatAsync(string path, CancellationToken cancellation = default) => FindAsync(path, cancellation);

    /// <summary>The content hash of a file. What is in flight of it becomes blocks first.</summary>
    public async ValueTask<FsResult<BlockHash>> HashAsync(string path, CancellationToken cancellation = default)
    {
        if (!(await FindFileAsync(path, cancellation)).TryGet(out var file, out var error))
            return error;
        var value = await _volume.GetXattrAsync(file.Inode, OwnXattr.Hash.ToArray(), cancellation);
        if (!value.TryGet(out var text, out error))
            return error;
        return BlockHash.TryParse(System.Text.Encoding.ASCII.GetString(text.Span), out var hash) ? hash : Errno.EIO;
    }

    /// <summary>The blocks of a file, in order; the hole for one of zeros. What is in flight of it becomes blocks first.</summary>
    public async ValueTask<FsResult<BlockHash[]>> ListBlocksAsync(string path, CancellationToken cancellation = default)
    {
        if (!(await FindFileAsync(path, cancellation)).TryGet(out var file, out var error))
            return error;
        var all = new List<BlockHash>();
        while (true)
        {
            if (!(await _volume.ListBlocksAsync(file.Inode, all.Count, LeaseLimits.MaxBlocks, cancellation)).TryGet(out var page, out error))
                return error;
            all.AddRange(page);
            if (page.Length < LeaseLimits.MaxBlocks)
                return all.ToArray();
        }
    }

    /// <summary>The names in a directory.</summary>
    public async ValueTask<FsResult<string[]>> ListAsync(string path, CancellationToken cancellation = default)
    {
        if (!(await FindAsync(path, cancellation)).TryGet(out var directory, out var error))
            return error;
        var names = new NameSink();
        var result = await _volume.ReadDirectoryAsync(directory.Inode, 0, names, false, cancellation);
        return result.IsOk ? names.Names.ToArray() : result.Error;
    }

    /// <summary>Reads up to the destination's length; fewer bytes only at the end of the file.</summary>
    public async ValueTask<FsResult<int>> ReadAsync(string path, long offset, Memory<byte> destination, CancellationToken cancellation = default) =>
        (await FindFileAsync(path, cancellation)).TryGet(out var file, out var error) ? await _volume.ReadAsync(file.Inode, offset, destination, cancellation) : error;

    /// <summary>A whole file. <c>EFBIG</c> past <paramref name="max"/> bytes.</summary>
    public async ValueTask<FsResult<byte[]>> ReadAllAsync(string path, int max = 64 << 20, CancellationToken cancellation = default)
    {
        if (!(await FindFileAsync(path, cancellation)).TryGet(out var file, out var error))
            return error;
        if (file.Size > max)
            return Errno.EFBIG;
        byte[] content = new byte[file.Size];
        if (!(await _volume.ReadAsync(file.Inode, 0, content, cancellation)).TryGet(out int read, out error))
            return error;
        return read == content.Length ? content : content[..read];
    }

    /// <summary>Writes into a file, which is made where there is none.</summary>
    public async ValueTask<FsResult> WriteAsync(string path, long offset, ReadOnlyMemory<byte> data, CancellationToken cancellation = default)
    {
        if (!(await FindOrCreateAsync(path, cancellation)).TryGet(out var file, out var error))
            return error;
        return (await _volume.WriteAsync(file.Inode, offset, data, WriteFlags.None, cancellation)).Error;
    }

    /// <summary>Gives a file new content, whole: it is written beside, brought to disk, and takes the name at once. Who reads sees the old content or the new.</summary>
    public async ValueTask<FsResult> WriteAllAsync(string path, ReadOnlyMemory<byte> data, CancellationToken cancellation = default)
    {
        if (!(await FindParentAsync(path, cancellation)).TryGet(out var place, out var error))
            return error;
        byte[] beside = System.Text.Encoding.UTF8.GetBytes($".{Guid.NewGuid():N}.new");
        var made = await _volume.CreateAsync(place.Directory, beside, new NewInode { Mode = FileMode }, _caller, cancellation);
        if (!made.TryGet(out var file, out error))
            return error;
        FsResult result = (await _volume.WriteAsync(file.Inode, 0, data, WriteFlags.None, cancellation)).Error;
        if (result.IsOk)
            result = await _volume.SyncAsync(file.Inode, false, cancellation);
        if (result.IsOk)
            result = await _volume.RenameAsync(place.Directory, beside, place.Directory, place.Name, RenameFlags.None, _caller, cancellation);
        if (!result.IsOk)
            await _volume.UnlinkAsync(place.Directory, beside, CancellationToken.None);
        return result;
    }

    /// <summary>Brings a file, its name and its content to disk.</summary>
    public async ValueTask<FsResult> SyncAsync(string path, CancellationToken cancellation = default) =>
        (await FindAsync(path, cancellation)).TryGet(out var file, out var error) ? await _volume.SyncAsync(file.Inode, false, cancellation) : error;

    /// <summary><c>EEXIST</c> where there is something of that name.</summary>
    public async ValueTask<FsResult> CreateDirectoryAsync(string path, CancellationToken cancellation = default) =>
        (await FindParentAsync(path, cancellation)).TryGet(out var place, out var error)
            ? (await _volume.CreateAsync(place.Directory, place.Name, new NewInode { Mode = DirectoryMode }, _caller, cancellation)).Error
            : error;

    /// <summary>Removes a file or an empty directory.</summary>
    public async ValueTask<FsResult> DeleteAsync(string path, CancellationToken cancellation = default)
    {
        if (!(await FindParentAsync(path, cancellation)).TryGet(out var place, out var error))
            return error;
        var result = await _volume.UnlinkAsync(place.Directory, place.Name, cancellation);
        return result.Error == Errno.EISDIR ? await _volume.RemoveDirectoryAsync(place.Directory, place.Name, cancellation) : result;
    }

    public async ValueTask<FsResult> RenameAsync(string path, string newPath, bool replace = true, CancellationToken cancellation = default)
    {
        if (!(await FindParentAsync(path, cancellation)).TryGet(out var from, out var error) || !(await FindParentAsync(newPath, cancellation)).TryGet(out var to, out error))
            return error;
        return await _volume.RenameAsync(from.Directory, from.Name, to.Directory, to.Name, replace ? RenameFlags.None : RenameFlags.NoReplace, _caller, cancellation);
    }

    private async ValueTask<FsResult<Attributes>> FindOrCreateAsync(string path, CancellationToken cancellation)
    {
        var found = await FindFileAsync(path, cancellation);
        if (found.Error != Errno.ENOENT)
            return found;
        if (!(await FindParentAsync(path, cancellation)).TryGet(out var place, out var error))
            return error;
        var made = await _volume.CreateAsync(place.Directory, place.Name, new NewInode { Mode = FileMode }, _caller, cancellation);
        return made.Error == Errno.EEXIST ? await FindFileAsync(path, cancellation) : made;
    }

    private sealed class NameSink : IDirectorySink
    {
        public List<string> Names { get; } = [];

        public bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes)
        {
            if (!name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8))
                Names.Add(System.Text.Encoding.UTF8.GetString(name));
            return true;
        }
    }
}
