using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Fuse.Protocol;
using Xunit;

namespace OrleansFs.Fuse.Tests.Protocol;

/// <summary>Requests as the kernel writes them, byte by byte, and the answers it is to get. Little-endian, as on every machine this runs on.</summary>
public sealed class GoldenRequestTests
{
    private readonly RecordingFileSystem _fileSystem = new();
    private readonly LooseConnection _connection = new() { Extra = FuseCapabilities.OverIoUring };

    [Fact]
    public void Lookup()
    {
        BufferRequest request = Dispatch(
            """
            2d000000 01000000                    # len 45, FUSE_LOOKUP
            0200000000000000 0100000000000000    # unique 2, nodeid 1
            e8030000 e9030000 39300000 0000 0000 # uid 1000, gid 1001, pid 12345, extlen 0
            "file" 00
            """);
        Assert.Equal(["Lookup 1 u1000 g1001 p12345: file"], _fileSystem.Calls);
        AssertAnswer(
            request,
            """
            90000000 00000000 0200000000000000   # len 144, no error, unique 2
            2211000000000000 0300000000000000    # nodeid, generation
            0100000000000000 0200000000000000    # entry_valid 1 s, attr_valid 2 s
            0065cd1d 00000000                    # and 500,000,000 ns, 0 ns
            3300000000000000 0500000000000000    # ino, size
            0000000000000000 0000000000000000    # blocks, atime
            ffffffffffffffff 0000000000000000    # mtime -1, ctime
            00000000 ffc99a3b 00000000           # atimensec, mtimensec 999,999,999, ctimensec
            a4810000 01000000                    # mode 0100644, nlink
            00000000 00000000 00000000           # uid, gid, rdev
            00000000 00000000                    # blksize, flags
            """);
    }

    [Fact]
    public void Write()
    {
        BufferRequest request = Dispatch(
            """
            55000000 10000000                    # len 85, FUSE_WRITE
            0400000000000000 0900000000000000    # unique 4, nodeid 9
            00000000 00000000 00000000 0000 0000 # the kernel itself
            4400000000000000 0010000000000000    # fh 0x44, offset 4096
            05000000 03000000                    # size 5, FUSE_WRITE_CACHE | FUSE_WRITE_LOCKOWNER
            efbeadde00000000 01840000 00000000   # lock_owner 0xdeadbeef, flags O_WRONLY | O_APPEND | O_LARGEFILE
            "hello"
            """);
        Assert.Equal(["Write 9 u0 g0 p0: 44 4096 hello Cache, LockOwner 8401 deadbeef"], _fileSystem.Calls);
        AssertAnswer(
            request,
            """
            18000000 00000000 0400000000000000   # len 24, no error, unique 4
            05000000 00000000                    # size 5
            """);
    }

    [Fact]
    public void Read()
    {
        BufferRequest request = Dispatch(
            """
            50000000 0f000000                    # len 80, FUSE_READ
            0600000000000000 0900000000000000    # unique 6, nodeid 9
            00000000 00000000 00000000 0000 0000
            4400000000000000 0000000001000000    # fh 0x44, offset 4 GiB
            04000000 00000000                    # size 4, no flags
            0000000000000000 00800000 00000000   # no lock owner, O_LARGEFILE
            """);
        Assert.Equal(
            ["Read 9 u0 g0 p0: ReadRequest { Handle = FileHandle { Value = 68 }, Offset = 4294967296, Size = 4, Flags = " + new OpenFlags(0x8000) + ", LockOwner =  }"],
            _fileSystem.Calls);
        AssertAnswer(request, "14000000 00000000 0600000000000000 \"rrrr\"");
    }

    [Fact]
    public void Rename2()
    {
        BufferRequest request = Dispatch(
            """
            40000000 2d000000                    # len 64, FUSE_RENAME2
            0800000000000000 0100000000000000    # unique 8, nodeid 1
            00000000 00000000 00000000 0000 0000
            0500000000000000 01000000 00000000   # newdir 5, RENAME_NOREPLACE
            "old" 00 "new" 00
            """);
        Assert.Equal(["Rename 1 u0 g0 p0: old -> 5 new NoReplace"], _fileSystem.Calls);
        AssertAnswer(request, "10000000 00000000 0800000000000000");
    }

    [Fact]
    public void MkDir_with_the_group_extension()
    {
        Dispatch(
            """
            44000000 09000000                    # len 68, FUSE_MKDIR
            0a00000000000000 0100000000000000    # unique 10, nodeid 1
            00000000 00000000 00000000 0200 0000 # extensions of 2 times 8 bytes
            ed010000 12000000                    # mode 0755, umask 022
            "dir" 00
            10000000 20000000                    # struct fuse_ext_header: size 16, FUSE_EXT_GROUPS
            01000000 07000000                    # one group: 7
            """);
        Assert.Equal(["MkDir 1 u0 g0 p0: dir 1ed 12 group 7"], _fileSystem.Calls);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void SetXAttr_in_both_forms(bool extended)
    {
        ProtocolEngine engine = Started(extended ? FuseCapabilities.SetXAttrExtended : FuseCapabilities.None);
        string request = extended
            ? """
              45000000 15000000                    # len 69, FUSE_SETXATTR
              0c00000000000000 0900000000000000
              00000000 00000000 00000000 0000 0000
              03000000 01000000 01000000 00000000  # size 3, XATTR_CREATE, FUSE_SETXATTR_ACL_KILL_SGID
              "user.attr" 00 "v" 0001
              """
            : """
              3d000000 15000000                    # len 61, the short form
              0c00000000000000 0900000000000000
              00000000 00000000 00000000 0000 0000
              03000000 01000000
              "user.attr" 00 "v" 0001
              """;
        Dispatch(request, engine);
        Assert.Equal([$"SetXAttr 9 u0 g0 p0: user.attr = v\0\u0001 Create {extended}"], _fileSystem.Calls);
    }

    [Fact]
    public void ReadDirPlus()
    {
        BufferRequest request = Dispatch(
            """
            50000000 2c000000                    # len 80, FUSE_READDIRPLUS
            0e00000000000000 0100000000000000
            00000000 00000000 00000000 0000 0000
            4400000000000000 0000000000000000    # fh, offset
            00100000 00000000                    # size 4096
            0000000000000000 00000000 00000000
            """);
        Assert.Equal(16 + 128 + 24 + 8, request.Answer!.Length); // header, fuse_entry_out, fuse_dirent, "abc" padded
        AssertBytes(
            """
            3300000000000000 0a00000000000000    # ino, off 10
            03000000 08000000                    # namelen 3, DT_REG
            "abc" 0000000000
            """,
            request.Body[128..]);
    }

    [Fact]
    public void GetLk()
    {
        BufferRequest request = Dispatch(
            """
            58000000 1f000000                    # len 88, FUSE_GETLK
            1000000000000000 0900000000000000
            00000000 00000000 00000000 0000 0000
            4400000000000000 0700000000000000    # fh, owner
            0000000000000000 ffffffffffffff7f    # the whole file
            01000000 39300000                    # F_WRLCK, pid
            01000000 00000000                    # FUSE_LK_FLOCK
            """);
        Assert.Contains("Start = 0, End = 9223372036854775807, Type = Write, Pid = 12345 }, IsFlock = True, Wait = False", _fileSystem.Calls[0], StringComparison.Ordinal);
        AssertAnswer(
            request,
            """
            28000000 00000000 1000000000000000
            0100000000000000 0200000000000000
            01000000 03000000
            """);
    }

    [Fact]
    public void Ioctl()
    {
        BufferRequest request = Dispatch(
            """
            4c000000 27000000                    # len 76, FUSE_IOCTL
            1200000000000000 0900000000000000
            00000000 00000000 00000000 0000 0000
            4400000000000000 00000000 016f08c0   # fh, no flags, _IOWR('o', 1, 8)
            00f0ffff00000000 04000000 02000000   # arg, in_size 4, out_size 2
            "data"
            """);
        Assert.Equal(["Ioctl 9 u0 g0 p0: c0086f01 data"], _fileSystem.Calls);
        AssertAnswer(request, "22000000 00000000 1200000000000000 77000000 00000000 00000000 00000000 \"oo\"");
    }

    [Theory]
    [InlineData("2f000000", 8)] // FUSE_COPY_FILE_RANGE: a 32-bit count
    [InlineData("35000000", 8)] // FUSE_COPY_FILE_RANGE_64
    public void CopyFileRange(string opcode, int bodyLength)
    {
        BufferRequest request = Dispatch(
            $"""
            60000000 {opcode}                    # len 96
            1400000000000000 0900000000000000
            00000000 00000000 00000000 0000 0000
            4400000000000000 0000000000000000    # fh_in, off_in
            0a00000000000000 4500000000000000    # nodeid_out, fh_out
            0000000000000000 ffffffffffffff7f    # off_out, len 2^63-1
            0000000000000000
            """);
        Assert.Equal(bodyLength, request.Body.Length);
        AssertBytes(opcode == "2f000000" ? "00f0ffff 00000000" : "ffffffffffffff7f", request.Body);
    }

    [Fact]
    public void Batch_forget()
    {
        BufferRequest request = Dispatch(
            """
            50000000 2a000000                    # len 80, FUSE_BATCH_FORGET
            1600000000000000 0000000000000000
            00000000 00000000 00000000 0000 0000
            02000000 00000000                    # two of them
            0500000000000000 0100000000000000    # node 5 once
            0600000000000000 0300000000000000    # node 6 three times
            """);
        Assert.Equal(["Forget 5 1", "Forget 6 3"], _fileSystem.Calls);
        Assert.Empty(request.Answer!);
    }

    [Fact]
    public void Init_7_45()
    {
        BufferRequest request = Dispatch(
            """
            68000000 1a000000                    # len 104, FUSE_INIT
            0200000000000000 0000000000000000
            00000000 00000000 00000000 0000 0000
            07000000 2d000000 00000200           # 7.45, max_readahead 128 KiB
            fbffff73 ff070000                    # flags with FUSE_INIT_EXT, flags2 with FUSE_OVER_IO_URING up to bit 42
            0000000000000000000000000000000000000000000000000000000000000000000000000000000000000000
            """,
            Engine());
        Assert.True(_connection.HasStarted);
        AssertAnswer(
            request,
            """
            50000000 00000000 0200000000000000
            07000000 2d000000 00000200           # 7.45, max_readahead as offered
            21884460                             # ASYNC_READ BIG_WRITES IOCTL_DIR ASYNC_DIO PARALLEL_DIROPS MAX_PAGES SETXATTR_EXT INIT_EXT
            4000 3000                            # max_background 64, congestion_threshold 48
            00001000 01000000                    # max_write 1 MiB, time_gran 1 ns
            0001 0000                            # max_pages 256, no alignment
            08020000                             # HAS_EXPIRE_ONLY, OVER_IO_URING
            00000000 0000
            00000000000000000000000000000000000000000000
            """);
    }

    [Fact]
    public void Init_7_31_without_extended_flags()
    {
        ProtocolEngine engine = Engine();
        BufferRequest request = Dispatch(
            """
            38000000 1a000000                    # len 56: the four fields of before 7.36
            0200000000000000 0000000000000000
            00000000 00000000 00000000 0000 0000
            07000000 1f000000 00000200 fbffff03
            """,
            engine);
        Assert.Equal(0, request.Error);
        Assert.Equal(31u, engine.Minor);
        Assert.Equal(FuseCapabilities.None, engine.Capabilities & (FuseCapabilities.OverIoUring | FuseCapabilities.SetXAttrExtended));
    }

    [Fact]
    public void Init_of_a_newer_major_is_asked_again()
    {
        BufferRequest request = Dispatch(
            """
            38000000 1a000000
            0200000000000000 0000000000000000
            00000000 00000000 00000000 0000 0000
            08000000 00000000 00000200 fbffff03  # 8.0
            """,
            Engine());
        Assert.False(_connection.HasStarted);
        AssertBytes("07000000 2d000000", request.Body[..8]);
    }

    [Fact]
    public void Init_of_a_kernel_that_is_too_old_fails()
    {
        BufferRequest request = Dispatch(
            """
            38000000 1a000000
            0200000000000000 0000000000000000
            00000000 00000000 00000000 0000 0000
            07000000 1e000000 00000200 fbffff03  # 7.30
            """,
            Engine());
        Assert.Equal((int)Errno.EPROTO, request.Error);
        Assert.Contains("7.30", _connection.Failure, StringComparison.Ordinal);
    }

    private static void AssertAnswer(BufferRequest request, string expected) => AssertBytes(expected, request.Answer);

    private static void AssertBytes(string expected, ReadOnlySpan<byte> actual) => Assert.Equal(Convert.ToHexString(Hex.Parse(expected)), Convert.ToHexString(actual));

    private ProtocolEngine Engine() => new(_fileSystem, new FuseOptions(), _connection, NullLogger.Instance);

    private ProtocolEngine Started(FuseCapabilities capabilities) => ProtocolTests.Started(_fileSystem, capabilities, NullLogger.Instance);

    private BufferRequest Dispatch(string hex, ProtocolEngine? engine = null)
    {
        byte[] bytes = Hex.Parse(hex);
        Assert.Equal(bytes.Length, BitConverter.ToInt32(bytes));
        engine ??= Started(FuseOptions.DefaultCapabilities);
        _fileSystem.Calls.Clear();
        BufferRequest request = new(engine, bytes);
        Assert.True(engine.Dispatch(request, new long[OpcodeTable.Size]));
        return request;
    }
}
