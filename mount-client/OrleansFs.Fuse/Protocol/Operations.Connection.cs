using System.Runtime.InteropServices;

namespace OrleansFs.Fuse.Protocol;

/// <summary>The rows' handlers: the connection itself, and what has no answer.</summary>
internal static unsafe partial class Operations
{
    internal static bool Init(ProtocolEngine engine, Request request) => engine.Init(request);

    /// <summary>Comes only for block device mounts, before the end; the file system is told once, at the end itself.</summary>
    internal static bool Destroy(ProtocolEngine engine, Request request) => ProtocolEngine.Fail(request, Errno.None);

    internal static bool Forget(ProtocolEngine engine, Request request)
    {
        NodeForget forget = new(request.Node, request.ReadOp<ForgetIn>().nlookup);
        engine.FileSystem.Forget(new ReadOnlySpan<NodeForget>(in forget));
        request.Drop();
        return true;
    }

    internal static bool BatchForget(ProtocolEngine engine, Request request)
    {
        uint count = request.ReadOp<BatchForgetIn>().count;
        ReadOnlySpan<NodeForget> forgets = MemoryMarshal.Cast<byte, NodeForget>(request.Payload.Span);
        if (count > (uint)forgets.Length)
            return engine.RefuseSilently(request);
        engine.FileSystem.Forget(forgets[..(int)count]);
        request.Drop();
        return true;
    }

    internal static bool Interrupt(ProtocolEngine engine, Request request)
    {
        engine.Interrupt(request.ReadOp<InterruptIn>().unique);
        request.Drop();
        return true;
    }
}
