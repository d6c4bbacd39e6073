using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Mounting;

namespace OrleansFs.Fuse;

/// <summary>A mount whose process died stays in the tree and answers ENOTCONN to everything; it has to be taken away before the path can be used again.</summary>
public static class DeadMount
{
    /// <summary>Whether a dead FUSE mount lies on a path. Where its process is dying, this waits until it has died (at most some seconds).</summary>
    public static bool IsAt(string path)
    {
        string full = Path.GetFullPath(path);
        Errno error = Ask(full);
        // The kernel takes an io_uring down only after its process has gone. Until then it cancels what is asked over it (fuse_uring_send_in_task in fs/fuse/dev_uring.c), and only then aborts the connection.
        for (int i = 1; error == Errno.ECANCELED && i < Limits.DyingAttempts; i++)
        {
            Thread.Sleep(Limits.DyingPause);
            error = Ask(full);
        }
        // ENOTCONN alone could also come from a socket file system; a FUSE mount alone may be alive.
        return error is Errno.ENOTCONN or Errno.ECONNABORTED && MountTable.At(full) is { IsFuse: true };
    }

    /// <summary>statfs is the one question that the kernel never answers out of its caches. A stat of a dead mount's root succeeds while its attributes are cached.</summary>
    private static unsafe Errno Ask(string path)
    {
        byte* ignored = stackalloc byte[256];
        return Libc.StatFs(path, ignored) == 0 ? Errno.None : Libc.LastError;
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
