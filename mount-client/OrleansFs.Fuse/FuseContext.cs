using OrleansFs.Fuse.Protocol;

namespace OrleansFs.Fuse;

/// <summary>Who asks and for what node. Valid until the operation's task completes: the object behind it is reused for a later request.</summary>
public readonly struct FuseContext : IEquatable<FuseContext>
{
    private readonly CallState _call;

    internal FuseContext(CallState call) => _call = call;

    /// <summary>The kernel's number of this request; never reused in the life of a mount.</summary>
    public ulong Unique => _call.Unique;

    /// <summary>The node the operation is on; for operations on a name, the directory.</summary>
    public NodeId Node => _call.Node;

    /// <summary>The file system user id of the caller. 0 for requests of the kernel itself (write-back, release).</summary>
    public uint Uid => _call.Uid;

    /// <summary>The file system group id of the caller.</summary>
    public uint Gid => _call.Gid;

    /// <summary>The thread id of the caller in the server's pid namespace; 0 for requests of the kernel itself.</summary>
    public uint Pid => _call.Pid;

    /// <summary>What the kernel attached to a request that makes an inode.</summary>
    public RequestExtensions Extensions => _call.Extensions;

    /// <summary>
    /// Cancelled when the caller is being killed by a signal, or when the mount goes away; a wait for a lock by any signal that the caller gets. Made on first use: a handler that never waits pays nothing.
    /// A cancelled handler may finish its work or answer <see cref="Errno.EINTR"/>; the library never answers in its place.
    /// </summary>
    public CancellationToken CancellationToken => _call.CancellationToken;

    /// <summary>A context that belongs to no mount, to call a file system directly.</summary>
    public static FuseContext Detached(NodeId node, uint uid = 0, uint gid = 0, uint pid = 0, CancellationToken cancellationToken = default) =>
        new(new DetachedCall(node, uid, gid, pid, cancellationToken));

    /// <inheritdoc/>
    public bool Equals(FuseContext other) => ReferenceEquals(_call, other._call);

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is FuseContext other && Equals(other);

    /// <inheritdoc/>
    public override int GetHashCode() => System.Runtime.CompilerServices.RuntimeHelpers.GetHashCode(_call);

    /// <summary>Whether both are the same request.</summary>
    public static bool operator ==(FuseContext left, FuseContext right) => left.Equals(right);

    /// <summary>Whether they are different requests.</summary>
    public static bool operator !=(FuseContext left, FuseContext right) => !left.Equals(right);
}
