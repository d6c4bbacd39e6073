namespace OrleansFs.Fuse;

/// <summary>A mount whose process died stays in the tree and answers ENOTCONN to everything; it has to be taken away before the path can be used again.</summary>
public static class DeadMount
{
    /// <summary>Whether a dead FUSE mount lies on a path.</summary>
    public static bool IsAt(string path) => throw new NotImplementedException();

    /// <summary>Takes a dead FUSE mount away (umount2 with MNT_DETACH as root, else fusermount3 -u -z). Touches nothing that is alive.</summary>
    /// <returns>Whether there was one.</returns>
    /// <exception cref="FuseMountException">There is one, and it could not be taken away.</exception>
    public static bool DetachIfAt(string path) => throw new NotImplementedException();
}
