using System.Runtime.InteropServices;
using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Protocol;
using OrleansFs.Fuse.Transport;
using Xunit;

namespace OrleansFs.Fuse.Tests.Protocol;

/// <summary>The engine without a kernel: the table, what is malformed, what waits, what throws, what it allocates.</summary>
public sealed class ProtocolTests
{
    /// <summary>Operations that this library leaves to the kernel's answer to ENOSYS.</summary>
    private static readonly FuseOpcode[] s_withoutRow =
        [FuseOpcode.FUSE_BMAP, FuseOpcode.FUSE_NOTIFY_REPLY, FuseOpcode.FUSE_SETUPMAPPING, FuseOpcode.FUSE_REMOVEMAPPING];

    public static TheoryData<string> Opcodes => [.. Enum.GetNames<FuseOpcode>()];

    [Theory]
    [MemberData(nameof(Opcodes))]
    public void Every_opcode_reaches_its_method_and_is_answered_once(string name)
    {
        FuseOpcode opcode = Enum.Parse<FuseOpcode>(name);
        RecordingFileSystem fileSystem = new();
        ProtocolEngine engine = Started(fileSystem, FuseOptions.DefaultCapabilities, NullLogger.Instance);
        OpcodeRow? row = OpcodeTable.Find(opcode);
        using BufferRequest request = new(engine, Message(opcode, row?.OpSize ?? 0, "a\0b\0"u8));
        Assert.True(engine.Dispatch(request, new long[OpcodeTable.Size]));
        if (s_withoutRow.Contains(opcode))
        {
            Assert.Null(row);
            Assert.Equal((int)Errno.ENOSYS, request.Error);
            return;
        }
        Assert.NotNull(row);
        Assert.Equal(row.HasNoReply ? 0 : 1, request.Sends);
        string method = opcode switch
        {
            FuseOpcode.FUSE_RENAME2 => "Rename",
            FuseOpcode.FUSE_SETLKW => "SetLk",
            FuseOpcode.FUSE_COPY_FILE_RANGE or FuseOpcode.FUSE_COPY_FILE_RANGE_64 => "CopyFileRange",
            FuseOpcode.FUSE_BATCH_FORGET or FuseOpcode.FUSE_INIT or FuseOpcode.FUSE_INTERRUPT or FuseOpcode.FUSE_DESTROY => "",
            _ => name["FUSE_".Length..],
        };
        Assert.StartsWith(method, fileSystem.Calls.FirstOrDefault() ?? "", StringComparison.OrdinalIgnoreCase);
    }

    [Theory]
    [MemberData(nameof(Opcodes))]
    public void What_is_not_overridden_is_answered_ENOSYS(string name)
    {
        FuseOpcode opcode = Enum.Parse<FuseOpcode>(name);
        ProtocolEngine engine = Started(new EmptyFileSystem(), FuseOptions.DefaultCapabilities, NullLogger.Instance);
        OpcodeRow? row = OpcodeTable.Find(opcode);
        using BufferRequest request = new(engine, Message(opcode, row?.OpSize ?? 0, "a\0b\0"u8));
        engine.Dispatch(request, new long[OpcodeTable.Size]);
        if (row is { HasNoReply: true } || opcode is FuseOpcode.FUSE_INIT or FuseOpcode.FUSE_DESTROY)
            return;
        Assert.Equal((int)Errno.ENOSYS, request.Error);
    }

    [Theory]
    [MemberData(nameof(Opcodes))]
    public void A_request_cut_short_anywhere_is_refused_and_never_crashes(string name)
    {
        FuseOpcode opcode = Enum.Parse<FuseOpcode>(name);
        ProtocolEngine engine = Started(new RecordingFileSystem(), FuseOptions.DefaultCapabilities, NullLogger.Instance);
        byte[] whole = Message(opcode, OpcodeTable.Find(opcode)?.OpSize ?? 0, "name\0other\0"u8);
        for (int length = InHeader.Size; length < whole.Length; length++)
        {
            using BufferRequest request = new(engine, whole.AsSpan(0, length));
            engine.Dispatch(request, new long[OpcodeTable.Size]);
            Assert.NotNull(request.Answer);
        }
    }

    [Fact]
    public void Random_bytes_never_crash_and_are_answered_once()
    {
        int seed = Random.Shared.Next();
        TestContext.Current.TestOutputHelper?.WriteLine($"seed {seed}");
        Random random = new(seed);
        ProtocolEngine engine = Started(new RecordingFileSystem(), FuseOptions.DefaultCapabilities, NullLogger.Instance);
        int device = Libc.Open("/dev/null", Libc.O_RDWR | Libc.O_CLOEXEC, 0);
        DeviceRequestPool pool = new(engine, Limits.MaxWrite, NullLogger.Instance);
        for (int round = 0; round < 200_000; round++)
        {
            byte[] bytes = new byte[InHeader.Size + random.Next(300)];
            random.NextBytes(bytes);
            MemoryMarshal.Write(bytes, bytes.Length);
            MemoryMarshal.Write(bytes.AsSpan(4), random.Next(OpcodeTable.Size + 2));
            MemoryMarshal.Write(bytes.AsSpan(36), (ushort)random.Next(random.Next(4) == 0 ? 200 : 1));
            if (random.Next(2) == 0)
                bytes.AsSpan(InHeader.Size + random.Next(bytes.Length - InHeader.Size + 1)).Clear();
            DeviceRequest request = pool.Rent();
            bytes.CopyTo(Input(request));
            Assert.True(request.TryBegin(device, bytes.Length));
            Assert.True(engine.Dispatch(request, new long[OpcodeTable.Size]));
            pool.Return(request);
        }
        pool.Close();
        _ = Libc.Close(device);
    }

    [Fact]
    public void A_name_of_256_bytes_is_too_long()
    {
        ProtocolEngine engine = Started(new RecordingFileSystem(), FuseOptions.DefaultCapabilities, NullLogger.Instance);
        using BufferRequest longest = new(engine, Message(FuseOpcode.FUSE_LOOKUP, 0, [.. Enumerable.Repeat((byte)'x', 255), 0]));
        using BufferRequest tooLong = new(engine, Message(FuseOpcode.FUSE_LOOKUP, 0, [.. Enumerable.Repeat((byte)'x', 256), 0]));
        engine.Dispatch(longest, new long[OpcodeTable.Size]);
        engine.Dispatch(tooLong, new long[OpcodeTable.Size]);
        Assert.Equal(0, longest.Error);
        Assert.Equal((int)Errno.ENAMETOOLONG, tooLong.Error);
    }

    [Fact]
    public async Task A_handler_that_waits_is_answered_from_where_it_completes()
    {
        TaskCompletionSource<FuseResult<EntryReply>> gate = new();
        ScriptedFileSystem fileSystem = new() { OnLookup = _ => new(gate.Task) };
        ProtocolEngine engine = Started(fileSystem, FuseCapabilities.None, NullLogger.Instance);
        using BufferRequest request = new(engine, Message(FuseOpcode.FUSE_LOOKUP, 0, "a\0"u8));
        Assert.False(engine.Dispatch(request, new long[OpcodeTable.Size]));
        Assert.Equal((1, 2L), (engine.InFlight, engine.BytesInFlight));
        gate.SetResult(RecordingFileSystem.Entry);
        await request.Answered.Task.WaitAsync(TestContext.Current.CancellationToken);
        Assert.True(engine.WaitUntilIdle(TimeSpan.FromSeconds(10), TimeProvider.System));
        Assert.Equal((0, 0L), (engine.InFlight, engine.BytesInFlight));
        Assert.Equal(128, request.Body.Length);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_exception_is_logged_once_with_opcode_unique_and_node_and_answered_EIO(bool later)
    {
        TestLog log = new();
        ScriptedFileSystem fileSystem = new()
        {
            OnLookup = async _ =>
            {
                if (later)
                    await Task.Yield();
                throw new InvalidDataException("broken");
            },
        };
        ProtocolEngine engine = Started(fileSystem, FuseCapabilities.None, log);
        using BufferRequest request = new(engine, Message(FuseOpcode.FUSE_LOOKUP, 0, "a\0"u8));
        engine.Dispatch(request, new long[OpcodeTable.Size]);
        await request.Answered.Task.WaitAsync(TestContext.Current.CancellationToken);
        Assert.Equal((int)Errno.EIO, request.Error);
        log.AssertTroubles("FUSE_LOOKUP (unique 77, node 5): the handler threw; answered EIO [InvalidDataException: broken]");
        Assert.Equal(1, engine.HandlerExceptions);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task An_interrupt_cancels_its_request_even_when_it_comes_first(bool interruptFirst)
    {
        ScriptedFileSystem fileSystem = new()
        {
            OnLookup = async context =>
            {
                await Task.Delay(Timeout.Infinite, context.CancellationToken);
                return Errno.EIO;
            },
        };
        TestLog log = new();
        ProtocolEngine engine = Started(fileSystem, FuseCapabilities.None, log);
        // No process has this number: whoever asked is gone.
        using BufferRequest request = new(engine, Message(FuseOpcode.FUSE_LOOKUP, 0, "a\0"u8, pid: int.MaxValue));
        using BufferRequest interrupt = new(engine, Message(FuseOpcode.FUSE_INTERRUPT, 8, default, unique: 78, op: 77));
        if (interruptFirst)
            engine.Dispatch(interrupt, new long[OpcodeTable.Size]);
        engine.Dispatch(request, new long[OpcodeTable.Size]);
        if (!interruptFirst)
            engine.Dispatch(interrupt, new long[OpcodeTable.Size]);
        await request.Answered.Task.WaitAsync(TestContext.Current.CancellationToken);
        Assert.Equal((int)Errno.EINTR, request.Error);
        Assert.Equal(0, engine.Interrupts.Count);
        log.AssertTroubles();
    }

    [Fact]
    public void An_impossible_answer_is_an_error_of_the_handler()
    {
        TestLog log = new();
        ScriptedFileSystem fileSystem = new() { OnRead = _ => FuseResult.Ok(5000) };
        ProtocolEngine engine = Started(fileSystem, FuseCapabilities.None, log);
        byte[] message = Message(FuseOpcode.FUSE_READ, 40, default);
        MemoryMarshal.Write(message.AsSpan(InHeader.Size + 16), 4096);
        using BufferRequest request = new(engine, message);
        engine.Dispatch(request, new long[OpcodeTable.Size]);
        Assert.Equal((int)Errno.EIO, request.Error);
        Assert.Contains("5000", Assert.Single(log.Troubles), StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(nameof(FuseOpcode.FUSE_LOOKUP))]
    [InlineData(nameof(FuseOpcode.FUSE_GETATTR))]
    [InlineData(nameof(FuseOpcode.FUSE_READ))]
    [InlineData(nameof(FuseOpcode.FUSE_WRITE))]
    [InlineData(nameof(FuseOpcode.FUSE_READDIRPLUS))]
    [InlineData(nameof(FuseOpcode.FUSE_GETXATTR))]
    [InlineData(nameof(FuseOpcode.FUSE_CREATE))]
    public void What_completes_at_once_allocates_nothing(string name)
    {
        FuseOpcode opcode = Enum.Parse<FuseOpcode>(name);
        ProtocolEngine engine = Started(new ScriptedFileSystem(), FuseOptions.DefaultCapabilities, NullLogger.Instance);
        long[] counters = new long[OpcodeTable.Size];
        byte[] message = Message(opcode, OpcodeTable.Find(opcode)!.OpSize, "name\0"u8);
        if (opcode is FuseOpcode.FUSE_READDIRPLUS)
            MemoryMarshal.Write(message.AsSpan(InHeader.Size + 16), 4096);
        using BufferRequest request = new(engine, message) { KeepsAnswer = false };
        for (int i = 0; i < 1000; i++)
            Again(engine, request, counters);
        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int i = 0; i < 1000; i++)
            Again(engine, request, counters);
        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
        Assert.Equal(2000, counters[(int)opcode]);
    }

    internal static ProtocolEngine Started(FuseFileSystem fileSystem, FuseCapabilities capabilities, ILogger logger)
    {
        LooseConnection connection = new();
        ProtocolEngine engine = new(fileSystem, new FuseOptions { Capabilities = capabilities }, connection, logger);
        byte[] init = Message(FuseOpcode.FUSE_INIT, 64, default);
        MemoryMarshal.Write(init.AsSpan(InHeader.Size), 7);
        MemoryMarshal.Write(init.AsSpan(InHeader.Size + 4), 45);
        init.AsSpan(InHeader.Size + 8, 12).Fill(0x7F);
        using BufferRequest request = new(engine, init);
        Assert.True(engine.Dispatch(request, new long[OpcodeTable.Size]));
        Assert.True(connection.HasStarted);
        return engine;
    }

    /// <summary>A request on node 5 whose fixed part begins with <paramref name="op"/> and is zero from there.</summary>
    internal static byte[] Message(FuseOpcode opcode, int opSize, ReadOnlySpan<byte> payload, ulong unique = 77, ulong op = 0, uint pid = 0)
    {
        byte[] bytes = new byte[InHeader.Size + opSize + payload.Length];
        InHeader header = new() { len = (uint)bytes.Length, opcode = (uint)opcode, unique = unique, nodeid = 5, pid = pid };
        MemoryMarshal.Write(bytes, header);
        if (opSize >= sizeof(ulong))
            MemoryMarshal.Write(bytes.AsSpan(InHeader.Size), op);
        payload.CopyTo(bytes.AsSpan(InHeader.Size + opSize));
        return bytes;
    }

    private static unsafe Span<byte> Input(DeviceRequest request) => new(request.Input, request.InputCapacity);

    private static void Again(ProtocolEngine engine, BufferRequest request, long[] counters)
    {
        request.Restart();
        engine.Dispatch(request, counters);
    }

    private sealed class EmptyFileSystem : FuseFileSystem
    {
    }

    private sealed class ScriptedFileSystem : FuseFileSystem
    {
        internal Func<FuseContext, ValueTask<FuseResult<EntryReply>>>? OnLookup { get; init; }

        internal Func<FuseContext, ValueTask<FuseResult<int>>>? OnRead { get; init; }

        public override ValueTask<FuseResult<EntryReply>> Lookup(FuseContext context, ReadOnlyMemory<byte> name) =>
            OnLookup?.Invoke(context) ?? FuseResult.Ok(new EntryReply { Node = new NodeId(name.Span[0]) });

        public override ValueTask<FuseResult<AttrReply>> GetAttr(FuseContext context, GetAttrRequest request) => FuseResult.Ok(new AttrReply());

        public override ValueTask<FuseResult<int>> Read(FuseContext context, ReadRequest request, Memory<byte> destination) =>
            OnRead?.Invoke(context) ?? FuseResult.Ok(destination.Length);

        public override ValueTask<FuseResult<int>> Write(FuseContext context, WriteRequest request) => FuseResult.Ok(request.Data.Length);

        public override ValueTask<FuseResult<int>> GetXAttr(FuseContext context, ReadOnlyMemory<byte> name, Memory<byte> destination) =>
            FuseResult.Ok(name.Length);

        public override ValueTask<FuseResult<CreateReply>> Create(FuseContext context, CreateRequest request) => FuseResult.Ok(new CreateReply());

        public override ValueTask<FuseResult> ReadDirPlus(FuseContext context, ReadDirRequest request, DirectoryWriter writer)
        {
            while (writer.TryAdd("name"u8, new EntryReply { Node = new NodeId(3) }, 1))
            {
            }
            return FuseResult.Success;
        }
    }
}
