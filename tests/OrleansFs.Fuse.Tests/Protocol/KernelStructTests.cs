using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;
using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Protocol;
using Xunit;

namespace OrleansFs.Fuse.Tests;

/// <summary>Sizes and offsets as in include/uapi/linux/fuse.h and io_uring.h, computed by hand from the fields of those headers.</summary>
public sealed class KernelStructTests
{
    public static TheoryData<Type, int> Sizes => new()
    {
        { typeof(InHeader), 40 },
        { typeof(OutHeader), 16 },
        { typeof(InitIn), 64 },
        { typeof(InitOut), 64 },
        { typeof(ForgetIn), 8 },
        { typeof(BatchForgetIn), 8 },
        { typeof(NodeForget), 16 },
        { typeof(GetAttrIn), 16 },
        { typeof(StatXIn), 24 },
        { typeof(MkNodIn), 16 },
        { typeof(MkDirIn), 8 },
        { typeof(RenameIn), 8 },
        { typeof(Rename2In), 16 },
        { typeof(LinkIn), 8 },
        { typeof(SetAttrIn), 88 },
        { typeof(OpenIn), 8 },
        { typeof(CreateIn), 16 },
        { typeof(ReleaseIn), 24 },
        { typeof(FlushIn), 24 },
        { typeof(ReadWriteIn), 40 },
        { typeof(WriteOut), 8 },
        { typeof(FSyncIn), 16 },
        { typeof(SetXAttrIn), 16 },
        { typeof(GetXAttrInOut), 8 },
        { typeof(LkIn), 48 },
        { typeof(FileLock), 24 },
        { typeof(AccessIn), 8 },
        { typeof(InterruptIn), 8 },
        { typeof(IoctlIn), 32 },
        { typeof(IoctlOut), 16 },
        { typeof(PollIn), 24 },
        { typeof(PollOut), 8 },
        { typeof(FAllocateIn), 32 },
        { typeof(LSeekIn), 24 },
        { typeof(CopyFileRangeIn), 56 },
        { typeof(SyncFsIn), 8 },
        { typeof(NotifyInvalInodeOut), 24 },
        { typeof(NotifyInvalEntryOut), 16 },
        { typeof(NotifyDeleteOut), 24 },
        { typeof(NotifyStoreOut), 24 },
        { typeof(NotifyPollWakeupOut), 8 },
        { typeof(FuseAttr), 88 },
        { typeof(EntryReply), 128 },
        { typeof(AttrReply), 104 },
        { typeof(OpenReply), 16 },
        { typeof(CreateReply), 144 },
        { typeof(StatFsReply), 80 },
        { typeof(StatXReply), 288 },
        { typeof(IoUring.Parameters), 120 },
        { typeof(IoUring.SubmissionOffsets), 40 },
        { typeof(IoUring.CompletionOffsets), 40 },
        { typeof(IoUring.Completion), 16 },
    };

    public static TheoryData<Type, string, int> Offsets => new()
    {
        { typeof(InHeader), "opcode", 4 },
        { typeof(InHeader), "unique", 8 },
        { typeof(InHeader), "nodeid", 16 },
        { typeof(InHeader), "uid", 24 },
        { typeof(InHeader), "gid", 28 },
        { typeof(InHeader), "pid", 32 },
        { typeof(InHeader), "total_extlen", 36 },
        { typeof(OutHeader), "error", 4 },
        { typeof(OutHeader), "unique", 8 },
        { typeof(InitIn), "flags", 12 },
        { typeof(InitIn), "flags2", 16 },
        { typeof(InitOut), "max_background", 16 },
        { typeof(InitOut), "congestion_threshold", 18 },
        { typeof(InitOut), "max_write", 20 },
        { typeof(InitOut), "time_gran", 24 },
        { typeof(InitOut), "max_pages", 28 },
        { typeof(InitOut), "flags2", 32 },
        { typeof(InitOut), "max_stack_depth", 36 },
        { typeof(InitOut), "request_timeout", 40 },
        { typeof(SetAttrIn), "size", 16 },
        { typeof(SetAttrIn), "atime", 32 },
        { typeof(SetAttrIn), "atimensec", 56 },
        { typeof(SetAttrIn), "mode", 68 },
        { typeof(SetAttrIn), "uid", 76 },
        { typeof(ReadWriteIn), "offset", 8 },
        { typeof(ReadWriteIn), "size", 16 },
        { typeof(ReadWriteIn), "lock_owner", 24 },
        { typeof(ReadWriteIn), "flags", 32 },
        { typeof(LkIn), "lk", 16 },
        { typeof(LkIn), "lk_flags", 40 },
        { typeof(IoctlIn), "arg", 16 },
        { typeof(IoctlIn), "out_size", 28 },
        { typeof(FuseAttr), "_atime", 24 },
        { typeof(FuseAttr), "_atimensec", 48 },
        { typeof(FuseAttr), "_mode", 60 },
        { typeof(FuseAttr), "_rdev", 76 },
        { typeof(FuseAttr), "_flags", 84 },
        { typeof(EntryReply), "_entryValid", 16 },
        { typeof(EntryReply), "_attrValid", 24 },
        { typeof(EntryReply), "_entryValidNsec", 32 },
        { typeof(EntryReply), "_attrValidNsec", 36 },
        { typeof(EntryReply), "_attr", 40 },
        { typeof(AttrReply), "_attr", 16 },
        { typeof(StatFsReply), "_bsize", 40 },
        { typeof(StatFsReply), "_frsize", 48 },
        { typeof(StatXReply), "_mask", 32 },
        { typeof(StatXReply), "_attributes", 40 },
        { typeof(StatXReply), "_mode", 60 },
        { typeof(StatXReply), "_ino", 64 },
        { typeof(StatXReply), "_attributesMask", 88 },
        { typeof(StatXReply), "_atime", 96 },
        { typeof(StatXReply), "_btime", 112 },
        { typeof(StatXReply), "_mtime", 144 },
        { typeof(StatXReply), "_rdevMajor", 160 },
        { typeof(IoUring.Parameters), "SqOffsets", 40 },
        { typeof(IoUring.Parameters), "CqOffsets", 80 },
        { typeof(IoUring.CompletionOffsets), "Cqes", 20 },
    };

    [Theory]
    [MemberData(nameof(Sizes))]
    public void A_kernel_structure_has_its_size(Type type, int size) =>
        Assert.Equal(size, (int)typeof(Unsafe).GetMethod(nameof(Unsafe.SizeOf))!.MakeGenericMethod(type).Invoke(null, null)!);

    [Theory]
    [MemberData(nameof(Offsets))]
    public void A_field_is_where_the_kernel_has_it(Type type, string field, int offset)
    {
        Assert.NotNull(type.GetField(field, BindingFlags.Instance | BindingFlags.NonPublic));
        Assert.Equal(offset, (int)Marshal.OffsetOf(type, field));
    }
}
