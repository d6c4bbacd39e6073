using System.Runtime.CompilerServices;
using Microsoft.Extensions.Logging;

namespace OrleansFs.Fuse.Protocol;

/// <summary>INIT and INTERRUPT.</summary>
internal sealed partial class ProtocolEngine
{
    internal const uint Major = 7;
    internal const uint NewestMinor = 45;
    internal const uint OldestMinor = 31;

    private const int InitOutSize = 64;
    private const int OpSizeWithoutFlags2 = 16;

    internal void Interrupt(ulong unique)
    {
        Interlocked.Increment(ref _interrupts);
        Interrupts.Interrupt(unique);
    }

    internal bool RefuseSilently(Request request)
    {
        Interlocked.Increment(ref _malformed);
        LogMalformed(_logger, request.Opcode, request.Unique, request.Node);
        request.Drop();
        return true;
    }

    internal bool Init(Request request)
    {
        InitIn op = ReadInit(request);
        if (op.major > Major)
        {
            // The kernel asks again with our major version.
            WriteInit(request, new InitOut { major = Major, minor = NewestMinor });
            request.Send(Errno.None, InitOutSize, suspended: false);
            return true;
        }
        if (op.major < Major || op.minor < OldestMinor)
        {
            _connection.Failed($"the kernel speaks FUSE {op.major}.{op.minor}; at least {Major}.{OldestMinor} (Linux 5.4) is needed");
            return Fail(request, Errno.EPROTO);
        }
        FuseCapabilities offered = (FuseCapabilities)(op.flags | ((ulong)op.flags2 << 32));
        InitRequest arguments = new(op.major, op.minor, offered, Propose(op, offered));
        ValueTask<FuseResult<InitReply>> task = FileSystem.Init(arguments);
        if (task.IsCompletedSuccessfully)
        {
            AnswerInit(request, arguments, task.Result, suspended: false);
            return true;
        }
        Suspend(request);
        _ = FinishInitAsync(request, arguments, task);
        return false;
    }

    private async Task FinishInitAsync(Request request, InitRequest arguments, ValueTask<FuseResult<InitReply>> task)
    {
        FuseResult<InitReply> result;
        try
        {
            result = await task.ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            result = HandlerFailed(request, exception);
        }
        AnswerInit(request, arguments, result, suspended: true);
    }

    private void AnswerInit(Request request, InitRequest arguments, FuseResult<InitReply> result, bool suspended)
    {
        int length = 0;
        if (result.IsSuccess)
        {
            InitReply agreed = result.Value;
            FuseCapabilities capabilities = (agreed.Capabilities | FuseCapabilities.BigWrites | FuseCapabilities.MaxPages) & arguments.Offered;
            capabilities |= _connection.Prepare(arguments.Offered, agreed) & arguments.Offered;
            Minor = Math.Min(arguments.Minor, NewestMinor);
            Capabilities = capabilities;
            WriteInit(request, Compose(agreed, capabilities, arguments.Offered));
            length = InitOutSize;
        }
        if (suspended)
            Resume(request, result.Error, length);
        else
            request.Send(result.Error, length, suspended: false);
        if (result.IsSuccess)
            _connection.Started();
        else
            _connection.Failed($"the file system refused to start: {result.Error}");
    }

    private InitReply Propose(InitIn op, FuseCapabilities offered)
    {
        int background = Math.Clamp(Options.MaxBackground, 1, ushort.MaxValue);
        return new InitReply(
            Options.Capabilities & offered,
            (int)Math.Min((uint)Options.MaxReadahead, op.max_readahead),
            Options.MaxWrite,
            background,
            Math.Clamp(Options.CongestionThreshold ?? (background * 3 / 4), 1, background),
            Options.TimeGranularity);
    }

    private InitOut Compose(InitReply agreed, FuseCapabilities capabilities, FuseCapabilities offered)
    {
        if ((offered & FuseCapabilities.InitExtended) != 0)
            capabilities |= FuseCapabilities.InitExtended;
        int maxWrite = Math.Clamp(agreed.MaxWrite, 4096, Options.MaxWrite);
        return new InitOut
        {
            major = Major,
            minor = Minor,
            max_readahead = (uint)agreed.MaxReadahead,
            flags = (uint)capabilities,
            max_background = (ushort)agreed.MaxBackground,
            congestion_threshold = (ushort)agreed.CongestionThreshold,
            max_write = (uint)maxWrite,
            time_gran = agreed.TimeGranularity,
            max_pages = (ushort)((maxWrite + 4095) / 4096),
            flags2 = (uint)((ulong)capabilities >> 32),
        };
    }

    /// <summary>Kernels before 5.17 (7.36) send the first four fields only.</summary>
    private static unsafe InitIn ReadInit(Request request)
    {
        InitIn op = default;
        Unsafe.CopyBlockUnaligned(&op, request.Op, OpSizeWithoutFlags2);
        const FuseCapabilities Extended = FuseCapabilities.InitExtended;
        if ((op.flags & (uint)Extended) != 0 && request.Payload.Length >= sizeof(uint))
            op.flags2 = Unsafe.ReadUnaligned<uint>(request.Op + OpSizeWithoutFlags2);
        return op;
    }

    private static unsafe void WriteInit(Request request, InitOut init) => Unsafe.WriteUnaligned(request.ReplyPointer, init);
}
