using System.Runtime.CompilerServices;

namespace OrleansFs.Fuse.Protocol;

/// <summary>How an answer of type <typeparamref name="T"/> becomes the body of a reply.</summary>
internal interface IReplyEncoder<T>
{
    /// <summary>Writes the body; answers its length, or a negated errno.</summary>
    static abstract int Encode(Request request, in T value);
}

/// <summary>Puts answers together: at once where the handler's task is complete, else from where it completes.</summary>
internal sealed partial class ProtocolEngine
{
    /// <summary>An answer without a body.</summary>
    internal bool Complete(Request request, ValueTask<FuseResult> task)
    {
        if (!task.IsCompletedSuccessfully)
        {
            Suspend(request);
            _ = FinishAsync(request, task);
            return false;
        }
        FuseResult result = task.Result;
        request.EndCall();
        request.Send(result.Error, result.IsSuccess ? request.DirectoryLengthIfListing() : 0, suspended: false);
        return true;
    }

    /// <summary>An answer with a body.</summary>
    internal bool Complete<T, TEncoder>(Request request, ValueTask<FuseResult<T>> task)
        where TEncoder : struct, IReplyEncoder<T>
    {
        if (!task.IsCompletedSuccessfully)
        {
            Suspend(request);
            _ = FinishAsync<T, TEncoder>(request, task);
            return false;
        }
        (Errno error, int length) = Encode<T, TEncoder>(request, task.Result);
        request.EndCall();
        request.Send(error, length, suspended: false);
        return true;
    }

    private (Errno Error, int Length) Encode<T, TEncoder>(Request request, in FuseResult<T> result)
        where TEncoder : struct, IReplyEncoder<T>
    {
        if (!result.IsSuccess)
            return (result.Error, 0);
        int length = TEncoder.Encode(request, result.Value);
        if (length >= 0)
            return (Errno.None, length);
        if (length == -(int)Errno.EIO)
            LogImpossibleAnswer(_logger, request.Opcode, request.Unique, request.Node, result.Value is int n ? n : 0);
        return ((Errno)(-length), 0);
    }

    private async Task FinishAsync(Request request, ValueTask<FuseResult> task)
    {
        Errno error;
        int length = 0;
        try
        {
            error = (await task.ConfigureAwait(false)).Error;
            if (error == Errno.None)
                length = request.DirectoryLengthIfListing();
        }
        catch (Exception exception)
        {
            error = HandlerFailed(request, exception);
        }
        Resume(request, error, length);
    }

    private async Task FinishAsync<T, TEncoder>(Request request, ValueTask<FuseResult<T>> task)
        where TEncoder : struct, IReplyEncoder<T>
    {
        Errno error;
        int length = 0;
        try
        {
            (error, length) = Encode<T, TEncoder>(request, await task.ConfigureAwait(false));
        }
        catch (Exception exception)
        {
            error = HandlerFailed(request, exception);
        }
        Resume(request, error, length);
    }

    /// <summary>The answer is laid out as the kernel wants it.</summary>
    internal readonly struct Raw<T> : IReplyEncoder<T>
        where T : unmanaged
    {
        public static unsafe int Encode(Request request, in T value)
        {
            Unsafe.WriteUnaligned(request.ReplyPointer, value);
            return sizeof(T);
        }
    }

    /// <summary>The body is already in place; the answer is its length.</summary>
    internal readonly struct InPlace : IReplyEncoder<int>
    {
        public static int Encode(Request request, in int value) => (uint)value <= (uint)request.Wanted ? value : -(int)Errno.EIO;
    }

    /// <summary>struct fuse_write_out.</summary>
    internal readonly struct Written : IReplyEncoder<int>
    {
        public static unsafe int Encode(Request request, in int value)
        {
            if ((uint)value > (uint)request.Payload.Length)
                return -(int)Errno.EIO;
            Unsafe.WriteUnaligned(request.ReplyPointer, new WriteOut { size = (uint)value });
            return sizeof(WriteOut);
        }
    }

    /// <summary>The length of an attribute for those who ask for it, else its value, already in place.</summary>
    internal readonly struct XAttr : IReplyEncoder<int>
    {
        public static unsafe int Encode(Request request, in int value)
        {
            if (value < 0)
                return -(int)Errno.EIO;
            if (request.Wanted > 0)
                return value <= request.Wanted ? value : -(int)Errno.ERANGE;
            Unsafe.WriteUnaligned(request.ReplyPointer, new GetXAttrInOut { size = (uint)value });
            return sizeof(GetXAttrInOut);
        }
    }

    /// <summary>struct fuse_write_out for a copy: the 32-bit form.</summary>
    internal readonly struct Copied32 : IReplyEncoder<long>
    {
        public static unsafe int Encode(Request request, in long value)
        {
            if ((ulong)value > uint.MaxValue)
                return -(int)Errno.EIO;
            Unsafe.WriteUnaligned(request.ReplyPointer, new WriteOut { size = (uint)value });
            return sizeof(WriteOut);
        }
    }

    /// <summary>struct fuse_poll_out.</summary>
    internal readonly struct Polled : IReplyEncoder<uint>
    {
        public static unsafe int Encode(Request request, in uint value)
        {
            Unsafe.WriteUnaligned(request.ReplyPointer, new PollOut { revents = value });
            return sizeof(PollOut);
        }
    }

    /// <summary>struct fuse_ioctl_out, behind which the output is already in place.</summary>
    internal readonly struct IoctlDone : IReplyEncoder<IoctlReply>
    {
        public static unsafe int Encode(Request request, in IoctlReply value)
        {
            if ((uint)value.OutputLength > (uint)request.Wanted)
                return -(int)Errno.EIO;
            Unsafe.WriteUnaligned(request.ReplyPointer, new IoctlOut { result = value.Result });
            return IoctlOut.Size + value.OutputLength;
        }
    }
}
