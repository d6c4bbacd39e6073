namespace OrleansFs.Fuse.Protocol;

/// <summary>Takes the arguments apart and calls the file system. True when the request is answered, false when its handler still works on it.</summary>
internal delegate bool OpcodeHandler(ProtocolEngine engine, Request request);

/// <summary>What there is to know of an operation.</summary>
internal sealed record OpcodeRow(FuseOpcode Opcode, int OpSize, OpcodeHandler Handler)
{
    /// <summary>The kernel waits for no answer.</summary>
    internal bool HasNoReply { get; init; }

    /// <summary>It may take long (data, disk): what is answered already is sent before it begins.</summary>
    internal bool IsHeavy { get; init; }

    /// <summary>FUSE_LOOKUP and so on.</summary>
    internal string Name { get; } = Opcode.ToString();
}

/// <summary>One row an operation; what has none is answered ENOSYS (BMAP of block devices, DAX mappings of virtiofs).</summary>
internal static unsafe class OpcodeTable
{
    /// <summary>One more than the largest opcode.</summary>
    internal const int Size = (int)FuseOpcode.FUSE_COPY_FILE_RANGE_64 + 1;

    private static readonly OpcodeRow?[] s_rows = Build(
        new(FuseOpcode.FUSE_LOOKUP, 0, Operations.Lookup),
        new(FuseOpcode.FUSE_FORGET, sizeof(ForgetIn), Operations.Forget) { HasNoReply = true },
        new(FuseOpcode.FUSE_GETATTR, sizeof(GetAttrIn), Operations.GetAttr),
        new(FuseOpcode.FUSE_SETATTR, sizeof(SetAttrIn), Operations.SetAttr) { IsHeavy = true },
        new(FuseOpcode.FUSE_READLINK, 0, Operations.ReadLink),
        new(FuseOpcode.FUSE_SYMLINK, 0, Operations.Symlink),
        new(FuseOpcode.FUSE_MKNOD, sizeof(MkNodIn), Operations.MkNod),
        new(FuseOpcode.FUSE_MKDIR, sizeof(MkDirIn), Operations.MkDir),
        new(FuseOpcode.FUSE_UNLINK, 0, Operations.Unlink),
        new(FuseOpcode.FUSE_RMDIR, 0, Operations.RmDir),
        new(FuseOpcode.FUSE_RENAME, sizeof(RenameIn), Operations.Rename),
        new(FuseOpcode.FUSE_LINK, sizeof(LinkIn), Operations.Link),
        new(FuseOpcode.FUSE_OPEN, sizeof(OpenIn), Operations.Open),
        new(FuseOpcode.FUSE_READ, sizeof(ReadWriteIn), Operations.Read) { IsHeavy = true },
        new(FuseOpcode.FUSE_WRITE, sizeof(ReadWriteIn), Operations.Write) { IsHeavy = true },
        new(FuseOpcode.FUSE_STATFS, 0, Operations.StatFs),
        new(FuseOpcode.FUSE_RELEASE, sizeof(ReleaseIn), Operations.Release),
        new(FuseOpcode.FUSE_FSYNC, sizeof(FSyncIn), Operations.FSync) { IsHeavy = true },
        new(FuseOpcode.FUSE_SETXATTR, sizeof(SetXAttrIn), Operations.SetXAttr),
        new(FuseOpcode.FUSE_GETXATTR, sizeof(GetXAttrInOut), Operations.GetXAttr),
        new(FuseOpcode.FUSE_LISTXATTR, sizeof(GetXAttrInOut), Operations.ListXAttr),
        new(FuseOpcode.FUSE_REMOVEXATTR, 0, Operations.RemoveXAttr),
        new(FuseOpcode.FUSE_FLUSH, sizeof(FlushIn), Operations.Flush) { IsHeavy = true },
        new(FuseOpcode.FUSE_INIT, 16, Operations.Init) { IsHeavy = true },
        new(FuseOpcode.FUSE_OPENDIR, sizeof(OpenIn), Operations.OpenDir),
        new(FuseOpcode.FUSE_READDIR, sizeof(ReadWriteIn), Operations.ReadDir) { IsHeavy = true },
        new(FuseOpcode.FUSE_RELEASEDIR, sizeof(ReleaseIn), Operations.ReleaseDir),
        new(FuseOpcode.FUSE_FSYNCDIR, sizeof(FSyncIn), Operations.FSyncDir) { IsHeavy = true },
        new(FuseOpcode.FUSE_GETLK, sizeof(LkIn), Operations.GetLk),
        new(FuseOpcode.FUSE_SETLK, sizeof(LkIn), Operations.SetLk),
        new(FuseOpcode.FUSE_SETLKW, sizeof(LkIn), Operations.SetLkW),
        new(FuseOpcode.FUSE_ACCESS, sizeof(AccessIn), Operations.Access),
        new(FuseOpcode.FUSE_CREATE, sizeof(CreateIn), Operations.Create),
        new(FuseOpcode.FUSE_INTERRUPT, sizeof(InterruptIn), Operations.Interrupt) { HasNoReply = true },
        new(FuseOpcode.FUSE_DESTROY, 0, Operations.Destroy),
        new(FuseOpcode.FUSE_IOCTL, sizeof(IoctlIn), Operations.Ioctl) { IsHeavy = true },
        new(FuseOpcode.FUSE_POLL, sizeof(PollIn), Operations.Poll),
        new(FuseOpcode.FUSE_BATCH_FORGET, sizeof(BatchForgetIn), Operations.BatchForget) { HasNoReply = true },
        new(FuseOpcode.FUSE_FALLOCATE, sizeof(FAllocateIn), Operations.FAllocate) { IsHeavy = true },
        new(FuseOpcode.FUSE_READDIRPLUS, sizeof(ReadWriteIn), Operations.ReadDirPlus) { IsHeavy = true },
        new(FuseOpcode.FUSE_RENAME2, sizeof(Rename2In), Operations.Rename2),
        new(FuseOpcode.FUSE_LSEEK, sizeof(LSeekIn), Operations.LSeek),
        new(FuseOpcode.FUSE_COPY_FILE_RANGE, sizeof(CopyFileRangeIn), Operations.CopyFileRange) { IsHeavy = true },
        new(FuseOpcode.FUSE_SYNCFS, sizeof(SyncFsIn), Operations.SyncFs) { IsHeavy = true },
        new(FuseOpcode.FUSE_TMPFILE, sizeof(CreateIn), Operations.TmpFile),
        new(FuseOpcode.FUSE_STATX, sizeof(StatXIn), Operations.StatX),
        new(FuseOpcode.FUSE_COPY_FILE_RANGE_64, sizeof(CopyFileRangeIn), Operations.CopyFileRange64) { IsHeavy = true });

    internal static OpcodeRow? Find(FuseOpcode opcode) => (uint)opcode < Size ? s_rows[(int)opcode] : null;

    private static OpcodeRow?[] Build(params OpcodeRow[] rows)
    {
        OpcodeRow?[] table = new OpcodeRow?[Size];
        foreach (OpcodeRow row in rows)
        {
            if (table[(int)row.Opcode] is not null)
                throw new InvalidOperationException($"Two rows for {row.Opcode}.");
            table[(int)row.Opcode] = row;
        }
        return table;
    }
}
