using System.Text;
using OrleansFs.Fuse;

namespace OrleansFs.Fault.Tests.Device;

/// <summary>Shows a disk as one file, for a loop device to sit on. Opened for direct I/O, so that nothing above it keeps or reorders what the loop device sends.</summary>
internal sealed class DiskFileSystem(RecordingDisk disk) : FuseFileSystem
{
    public const string FileName = "disk.img";

    private static readonly byte[] s_name = Encoding.ASCII.GetBytes(FileName);
    private static readonly NodeId s_file = new(2);

    public override ValueTask<FuseResult<EntryReply>> Lookup(FuseContext context, ReadOnlyMemory<byte> name) =>
        context.Node == NodeId.Root && name.Span.SequenceEqual(s_name)
            ? FuseResult.Ok(new EntryReply { Node = s_file, Attr = Attributes(s_file), EntryTimeout = TimeSpan.MaxValue, AttrTimeout = TimeSpan.MaxValue })
            : FuseResult.Fail<EntryReply>(Errno.ENOENT);

    public override ValueTask<FuseResult<AttrReply>> GetAttr(FuseContext context, GetAttrRequest request) =>
        FuseResult.Ok(new AttrReply { Attr = Attributes(context.Node), AttrTimeout = TimeSpan.MaxValue });

    public override ValueTask<FuseResult<AttrReply>> SetAttr(FuseContext context, SetAttrRequest request) =>
        FuseResult.Ok(new AttrReply { Attr = Attributes(context.Node), AttrTimeout = TimeSpan.MaxValue });

    public override ValueTask<FuseResult<OpenReply>> Open(FuseContext context, OpenRequest request) =>
        FuseResult.Ok(new OpenReply(new FileHandle(0), OpenReplyFlags.DirectIO | OpenReplyFlags.ParallelDirectWrites));

    public override ValueTask<FuseResult<int>> Read(FuseContext context, ReadRequest request, Memory<byte> destination)
    {
        int n = (int)Math.Clamp(disk.Length - request.Offset, 0, request.Size);
        return disk.Read(request.Offset, destination.Span[..n]) ? FuseResult.Ok(n) : FuseResult.Fail<int>(Errno.EIO);
    }

    public override ValueTask<FuseResult<int>> Write(FuseContext context, WriteRequest request)
    {
        if (request.Offset + request.Data.Length > disk.Length)
            return FuseResult.Fail<int>(Errno.ENOSPC);
        return disk.Write(request.Offset, request.Data.Span) ? FuseResult.Ok(request.Data.Length) : FuseResult.Fail<int>(Errno.EIO);
    }

    public override ValueTask<FuseResult> FSync(FuseContext context, FSyncRequest request) => Outcome(disk.Flush());

    public override ValueTask<FuseResult> FAllocate(FuseContext context, FAllocateRequest request)
    {
        bool clears = (request.Mode & (FAllocateMode.PunchHole | FAllocateMode.ZeroRange)) != 0;
        return clears ? Outcome(disk.Clear(request.Offset, Math.Min(request.Length, disk.Length - request.Offset))) : FuseResult.Fail(Errno.EOPNOTSUPP);
    }

    public override ValueTask<FuseResult> Flush(FuseContext context, FlushRequest request) => FuseResult.Success;

    public override ValueTask<FuseResult> Release(FuseContext context, ReleaseRequest request) => FuseResult.Success;

    private static FuseResult Outcome(bool done) => done ? FuseResult.Success : Errno.EIO;

    private FuseAttr Attributes(NodeId node) => node == s_file
        ? new FuseAttr { Ino = node.Value, Mode = 0x8180, LinkCount = 1, Size = (ulong)disk.Length, Blocks = (ulong)disk.Length / 512, BlockSize = 4096 }
        : new FuseAttr { Ino = node.Value, Mode = 0x41C0, LinkCount = 2, BlockSize = 4096 };
}
