using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Mounting;

namespace OrleansFs.Fuse;

/// <summary>A mount whose process died stays in the tree and answers ENOTCONN to everything; it has to be taken away before the path can be used again.</summary>
public static class DeadMount
{
    /// <summary>Whether a dead FUSE mount lies on a path.</summary>
    public static unsafe bool IsAt(string path)
    {
        string full = Path.GetFullPath(path);
        // statfs is the one question that the kernel never answers out of its caches. A stat of a dead mount's root succeeds while its attributes are cached.
        byte* ignored = stackalloc byte[256];
        // ENOTCONN alone could also come from a socket file system; a FUSE mount alone may be alive.
        return Libc.StatFs(full, ignored) != 0 && Libc.LastError is Errno.ENOTCONN or Errno.ECONNABORTED && MountTable.At(full) is { IsFuse: true };
    }

    /// <summary>Takes a dead FUSE mount away (umount2 with MNT_DETACH as root, else fusermount3 -u -z). Touches nothing that is alive.</summary>
    /// <returns>Whether there was one.</returns>
    /// <exception cref="FuseMountException">There is one, and it could not be taken away.</exception>
    public static bool DetachIfAt(string path)
    {
        if (!IsAt(path))
            return false;
        Errno error = KernelMount.Unmount(Path.GetFullPath(path), lazy: true);
        return error == Errno.None ? true : throw new FuseMountException($"the dead mount at {path} cannot be taken away: {error}");
    }
}
