using System.Globalization;
using System.Text;

namespace OrleansFs.Fuse.Tests.Protocol;

/// <summary>Writes down what it is called with, as text, and answers something recognisable.</summary>
internal sealed class RecordingFileSystem : FuseFileSystem
{
    internal List<string> Calls { get; } = [];

    internal static EntryReply Entry => new()
    {
        Node = new NodeId(0x1122),
        Generation = 3,
        EntryTimeout = TimeSpan.FromSeconds(1.5),
        AttrTimeout = TimeSpan.FromSeconds(2),
        Attr = new FuseAttr { Ino = 0x33, Size = 5, Mode = 0x81A4, LinkCount = 1, ModificationTime = new FuseTime(-1, 999_999_999) },
    };

    public override void Forget(ReadOnlySpan<NodeForget> forgets)
    {
        foreach (NodeForget forget in forgets)
            Calls.Add($"Forget {forget.Node} {forget.Lookups}");
    }

    public override ValueTask<FuseResult<EntryReply>> Lookup(FuseContext context, ReadOnlyMemory<byte> name) => Ok(Entry, "Lookup", context, Text(name));

    public override ValueTask<FuseResult<AttrReply>> GetAttr(FuseContext context, GetAttrRequest request) => Ok(new AttrReply(), "GetAttr", context, request);

    public override ValueTask<FuseResult<StatXReply>> StatX(FuseContext context, StatXRequest request) => Ok(new StatXReply(), "StatX", context, request);

    public override ValueTask<FuseResult<AttrReply>> SetAttr(FuseContext context, SetAttrRequest request) => Ok(new AttrReply(), "SetAttr", context, request);

    public override ValueTask<FuseResult<int>> ReadLink(FuseContext context, Memory<byte> destination)
    {
        "target"u8.CopyTo(destination.Span);
        return Ok(6, "ReadLink", context, destination.Length);
    }

    public override ValueTask<FuseResult<EntryReply>> Symlink(FuseContext context, SymlinkRequest request) =>
        Ok(Entry, "Symlink", context, $"{Text(request.Name)} -> {Text(request.Target)}");

    public override ValueTask<FuseResult<EntryReply>> MkNod(FuseContext context, MkNodRequest request) =>
        Ok(Entry, "MkNod", context, $"{Text(request.Name)} {request.Mode:x} {request.Device:x} {request.Umask:x}");

    public override ValueTask<FuseResult<EntryReply>> MkDir(FuseContext context, MkDirRequest request)
    {
        string group = context.Extensions.TryGetSupplementaryGroup(out uint id) ? $" group {id}" : "";
        return Ok(Entry, "MkDir", context, $"{Text(request.Name)} {request.Mode:x} {request.Umask:x}{group}");
    }

    public override ValueTask<FuseResult> Unlink(FuseContext context, ReadOnlyMemory<byte> name) => Done("Unlink", context, Text(name));

    public override ValueTask<FuseResult> RmDir(FuseContext context, ReadOnlyMemory<byte> name) => Done("RmDir", context, Text(name));

    public override ValueTask<FuseResult> Rename(FuseContext context, RenameRequest request) =>
        Done("Rename", context, $"{Text(request.Name)} -> {request.NewParent} {Text(request.NewName)} {request.Flags}");

    public override ValueTask<FuseResult<EntryReply>> Link(FuseContext context, LinkRequest request) =>
        Ok(Entry, "Link", context, $"{request.Source} {Text(request.Name)}");

    public override ValueTask<FuseResult> Access(FuseContext context, AccessMask mask) => Done("Access", context, mask);

    public override ValueTask<FuseResult<StatFsReply>> StatFs(FuseContext context) => Ok(new StatFsReply { Blocks = 7, FragmentSize = 512 }, "StatFs", context, "");

    public override ValueTask<FuseResult> SyncFs(FuseContext context) => Done("SyncFs", context, "");

    public override ValueTask<FuseResult> SetXAttr(FuseContext context, SetXAttrRequest request) =>
        Done("SetXAttr", context, $"{Text(request.Name)} = {Text(request.Value)} {request.Flags} {request.AclKillSgid}");

    public override ValueTask<FuseResult<int>> GetXAttr(FuseContext context, ReadOnlyMemory<byte> name, Memory<byte> destination)
    {
        "value"u8.ToArray().AsMemory().TryCopyTo(destination);
        return Ok(5, "GetXAttr", context, $"{Text(name)} {destination.Length}");
    }

    public override ValueTask<FuseResult<int>> ListXAttr(FuseContext context, Memory<byte> destination) => Ok(0, "ListXAttr", context, destination.Length);

    public override ValueTask<FuseResult> RemoveXAttr(FuseContext context, ReadOnlyMemory<byte> name) => Done("RemoveXAttr", context, Text(name));

    public override ValueTask<FuseResult<OpenReply>> Open(FuseContext context, OpenRequest request) =>
        Ok(new OpenReply(new FileHandle(0x44), OpenReplyFlags.KeepCache), "Open", context, $"{request.Flags.Value:x} {request.KillSuidGid}");

    public override ValueTask<FuseResult<CreateReply>> Create(FuseContext context, CreateRequest request) =>
        Ok(new CreateReply(Entry, new OpenReply(new FileHandle(0x55))), "Create", context, $"{Text(request.Name)} {request.Flags.Value:x} {request.Mode:x} {request.Umask:x}");

    public override ValueTask<FuseResult<CreateReply>> TmpFile(FuseContext context, CreateRequest request) =>
        Ok(new CreateReply(Entry, new OpenReply(new FileHandle(0x55))), "TmpFile", context, $"{request.Mode:x}");

    public override ValueTask<FuseResult<int>> Read(FuseContext context, ReadRequest request, Memory<byte> destination)
    {
        destination.Span.Fill((byte)'r');
        return Ok(destination.Length, "Read", context, request);
    }

    public override ValueTask<FuseResult<int>> Write(FuseContext context, WriteRequest request) =>
        Ok(request.Data.Length, "Write", context, $"{request.Handle.Value:x} {request.Offset} {Text(request.Data)} {request.WriteFlags} {request.Flags.Value:x} {request.LockOwner:x}");

    public override ValueTask<FuseResult> Flush(FuseContext context, FlushRequest request) => Done("Flush", context, request);

    public override ValueTask<FuseResult> Release(FuseContext context, ReleaseRequest request) => Done("Release", context, request);

    public override ValueTask<FuseResult> FSync(FuseContext context, FSyncRequest request) => Done("FSync", context, request);

    public override ValueTask<FuseResult<OpenReply>> OpenDir(FuseContext context, OpenRequest request) => Ok(new OpenReply(), "OpenDir", context, request);

    public override ValueTask<FuseResult> ReadDir(FuseContext context, ReadDirRequest request, DirectoryWriter writer)
    {
        writer.TryAdd("abc"u8, 9, FileType.Regular, 10);
        return Done("ReadDir", context, request);
    }

    public override ValueTask<FuseResult> ReadDirPlus(FuseContext context, ReadDirRequest request, DirectoryWriter writer)
    {
        writer.TryAdd("abc"u8, Entry, 10);
        return Done("ReadDirPlus", context, request);
    }

    public override ValueTask<FuseResult> ReleaseDir(FuseContext context, ReleaseRequest request) => Done("ReleaseDir", context, request);

    public override ValueTask<FuseResult> FSyncDir(FuseContext context, FSyncRequest request) => Done("FSyncDir", context, request);

    public override ValueTask<FuseResult<FileLock>> GetLk(FuseContext context, LockRequest request) =>
        Ok(new FileLock(1, 2, LockType.Write, 3), "GetLk", context, request);

    public override ValueTask<FuseResult> SetLk(FuseContext context, LockRequest request) => Done("SetLk", context, request);

    public override ValueTask<FuseResult<IoctlReply>> Ioctl(FuseContext context, IoctlRequest request, Memory<byte> destination)
    {
        destination.Span.Fill((byte)'o');
        return Ok(new IoctlReply(0x77, destination.Length), "Ioctl", context, $"{request.Command:x} {Text(request.Input)}");
    }

    public override ValueTask<FuseResult<uint>> Poll(FuseContext context, PollRequest request) => Ok(5u, "Poll", context, request);

    public override ValueTask<FuseResult> FAllocate(FuseContext context, FAllocateRequest request) => Done("FAllocate", context, request);

    public override ValueTask<FuseResult<long>> LSeek(FuseContext context, LSeekRequest request) => Ok(0x66L, "LSeek", context, request);

    public override ValueTask<FuseResult<long>> CopyFileRange(FuseContext context, CopyFileRangeRequest request) =>
        Ok(request.Length, "CopyFileRange", context, request);

    private static string Text(ReadOnlyMemory<byte> bytes) => Encoding.Latin1.GetString(bytes.Span);

    private ValueTask<FuseResult> Done(string call, FuseContext context, object arguments)
    {
        Record(call, context, arguments);
        return FuseResult.Success;
    }

    private ValueTask<FuseResult<T>> Ok<T>(T value, string call, FuseContext context, object arguments)
    {
        Record(call, context, arguments);
        return FuseResult.Ok(value);
    }

    private void Record(string call, FuseContext context, object arguments) =>
        Calls.Add(string.Create(CultureInfo.InvariantCulture, $"{call} {context.Node} u{context.Uid} g{context.Gid} p{context.Pid}: {arguments}"));
}
