namespace OrleansFs.Fuse.Protocol;

/// <summary>The request behind a <see cref="FuseContext"/>.</summary>
internal abstract class CallState
{
    internal ulong Unique { get; private protected set; }

    internal NodeId Node { get; private protected set; }

    internal uint Uid { get; private protected set; }

    internal uint Gid { get; private protected set; }

    internal uint Pid { get; private protected set; }

    internal abstract RequestExtensions Extensions { get; }

    internal abstract CancellationToken CancellationToken { get; }
}

/// <summary>A request that no kernel made.</summary>
internal sealed class DetachedCall : CallState
{
    internal DetachedCall(NodeId node, uint uid, uint gid, uint pid, CancellationToken cancellationToken)
    {
        Node = node;
        Uid = uid;
        Gid = gid;
        Pid = pid;
        CancellationToken = cancellationToken;
    }

    internal override RequestExtensions Extensions => default;

    internal override CancellationToken CancellationToken { get; }
}
