using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace OrleansFs.Fuse.Interop;

/// <summary>io_uring could not do what was asked.</summary>
internal sealed class IoUringException : Exception
{
    internal IoUringException(string what, Errno error)
        : base($"{what}: {error}") => Error = error;

    internal Errno Error { get; }
}

/// <summary>
/// One io_uring instance by raw system calls (include/uapi/linux/io_uring.h), for one thread: it alone prepares, submits and reaps
/// (IORING_SETUP_SINGLE_ISSUER with DEFER_TASKRUN, so that the kernel's part of a completion runs when that thread enters, and nowhere else).
/// </summary>
/// <remarks>
/// Submission entries are 128 bytes, as FUSE commands need; there is no index array (NO_SQARRAY, Linux 6.6). Any thread may call <see cref="Wake"/>.
/// </remarks>
internal sealed unsafe class IoUring : IDisposable
{
    internal const int SqeSize = 128;
    internal const byte OpUringCmd = 46;
    internal const byte FixedFile = 1; // IOSQE_FIXED_FILE

    private const byte OpMsgRing = 40;
    private const uint SetupCqSize = 1 << 3;
    private const uint SetupSubmitAll = 1 << 7;
    private const uint SetupSqe128 = 1 << 10;
    private const uint SetupSingleIssuer = 1 << 12;
    private const uint SetupDeferTaskRun = 1 << 13;
    private const uint SetupNoSqArray = 1 << 16;
    private const uint EnterGetEvents = 1;
    private const uint EnterRegisteredRing = 1 << 4;
    private const uint RegisterFiles = 2;
    private const uint RegisterRingFds = 20;
    private const uint RegisterSendMsgRing = 31; // 6.13; FUSE over io_uring is 6.14
    private const long SqesOffset = 0x10000000;

    private readonly int _fd;
    private readonly int _enterFd;
    private readonly uint _enterFlags;
    private readonly nint _rings;
    private readonly nuint _ringsLength;
    private readonly nint _sqes;
    private readonly nuint _sqesLength;
    private readonly uint* _sqHead;
    private readonly uint* _sqTail;
    private readonly uint* _cqHead;
    private readonly uint* _cqTail;
    private readonly Completion* _completions;
    private readonly uint _sqEntries;
    private readonly uint _sqMask;
    private readonly uint _cqMask;
    private bool _disposed;
    private uint _tail;
    private uint _submitted;

    /// <summary>A ring for the calling thread, with one registered file at index 0.</summary>
    internal IoUring(uint submissions, uint completions, int file)
    {
        Parameters parameters = new()
        {
            Flags = SetupCqSize | SetupSubmitAll | SetupSqe128 | SetupSingleIssuer | SetupDeferTaskRun | SetupNoSqArray,
            CqEntries = completions,
        };
        _fd = (int)Check("io_uring_setup", Libc.SysCall(Libc.SYS_io_uring_setup, submissions, (long)&parameters, 0, 0, 0, 0));
        try
        {
            _ringsLength = parameters.CqOffsets.Cqes + (parameters.CqEntries * (nuint)sizeof(Completion));
            _rings = Map(_ringsLength, 0);
            _sqesLength = parameters.SqEntries * (nuint)SqeSize;
            _sqes = Map(_sqesLength, SqesOffset);
            Check("IORING_REGISTER_FILES", Libc.SysCall(Libc.SYS_io_uring_register, _fd, RegisterFiles, (long)&file, 1, 0, 0));
            (_enterFd, _enterFlags) = RegisterSelf();
        }
        catch
        {
            Dispose();
            throw;
        }
        byte* rings = (byte*)_rings;
        _sqHead = (uint*)(rings + parameters.SqOffsets.Head);
        _sqTail = (uint*)(rings + parameters.SqOffsets.Tail);
        _cqHead = (uint*)(rings + parameters.CqOffsets.Head);
        _cqTail = (uint*)(rings + parameters.CqOffsets.Tail);
        _completions = (Completion*)(rings + parameters.CqOffsets.Cqes);
        _sqEntries = parameters.SqEntries;
        _sqMask = parameters.SqEntries - 1;
        _cqMask = parameters.CqEntries - 1;
        _tail = _submitted = *_sqTail;
    }

    /// <summary>Submissions prepared and not yet with the kernel.</summary>
    internal uint Pending => _tail - _submitted;

    /// <summary>The next submission entry, cleared; null when the queue is full and has to be entered first.</summary>
    internal byte* Next()
    {
        if (_tail - Volatile.Read(ref *_sqHead) >= _sqEntries)
            return null;
        byte* entry = (byte*)_sqes + ((_tail & _sqMask) * SqeSize);
        _tail++;
        Unsafe.InitBlockUnaligned(entry, 0, SqeSize);
        return entry;
    }

    /// <summary>Submits what is prepared and, where asked, waits for a completion. An interrupted wait ends early.</summary>
    internal void Enter(bool wait)
    {
        Volatile.Write(ref *_sqTail, _tail);
        uint flags = wait ? _enterFlags | EnterGetEvents : _enterFlags;
        long taken = Libc.SysCall(Libc.SYS_io_uring_enter, _enterFd, Pending, wait ? 1 : 0, flags, 0, 0);
        if (taken >= 0)
        {
            _submitted += (uint)taken;
            return;
        }
        Errno error = Libc.LastError;
        if (error is not (Errno.EINTR or Errno.EAGAIN or Errno.EBUSY))
            throw new IoUringException("io_uring_enter", error);
    }

    /// <summary>Takes a completion, where there is one.</summary>
    internal bool TryTake(out ulong userData, out int result)
    {
        uint head = *_cqHead;
        if (head == Volatile.Read(ref *_cqTail))
        {
            userData = 0;
            result = 0;
            return false;
        }
        Completion completion = _completions[head & _cqMask];
        Volatile.Write(ref *_cqHead, head + 1);
        userData = completion.UserData;
        result = completion.Result;
        return true;
    }

    internal bool HasCompletion => *_cqHead != Volatile.Read(ref *_cqTail);

    /// <summary>Posts a completion to this ring from any thread, which ends its thread's wait. False when the ring is gone.</summary>
    internal bool Wake(ulong userData)
    {
        byte* entry = stackalloc byte[64];
        Unsafe.InitBlockUnaligned(entry, 0, 64);
        entry[0] = OpMsgRing;
        *(int*)(entry + 4) = _fd;
        *(ulong*)(entry + 8) = userData;
        return Libc.SysCall(Libc.SYS_io_uring_register, -1, RegisterSendMsgRing, (long)entry, 1, 0, 0) >= 0;
    }

    public void Dispose()
    {
        if (Interlocked.Exchange(ref _disposed, true))
            return;
        if (_sqes != 0)
            _ = Libc.MUnmap(_sqes, _sqesLength);
        if (_rings != 0)
            _ = Libc.MUnmap(_rings, _ringsLength);
        _ = Libc.Close(_fd);
    }

    private static long Check(string what, long result) => result >= 0 ? result : throw new IoUringException(what, Libc.LastError);

    private nint Map(nuint length, long offset)
    {
        nint address = Libc.MMap(0, length, Libc.PROT_READ_WRITE, Libc.MAP_SHARED_POPULATE, _fd, offset);
        return address != -1 ? address : throw new IoUringException("mmap of io_uring", Libc.LastError);
    }

    /// <summary>The ring's own descriptor, registered with this thread, saves a look-up at each entry; where it cannot be, the plain one does.</summary>
    private (int Fd, uint Flags) RegisterSelf()
    {
        ResourceUpdate update = new() { Offset = uint.MaxValue, Data = (ulong)_fd };
        long done = Libc.SysCall(Libc.SYS_io_uring_register, _fd, RegisterRingFds, (long)&update, 1, 0, 0);
        return done == 1 ? ((int)update.Offset, EnterRegisteredRing) : (_fd, 0);
    }

    /// <summary>struct io_uring_cqe: 16 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Completion
    {
        internal ulong UserData;
        internal int Result;
        internal uint Flags;
    }

    /// <summary>struct io_uring_params: 120 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    internal struct Parameters
    {
        internal uint SqEntries;
        internal uint CqEntries;
        internal uint Flags;
        internal uint SqThreadCpu;
        internal uint SqThreadIdle;
        internal uint Features;
        internal uint WqFd;
        internal uint Reserved0;
        internal uint Reserved1;
        internal uint Reserved2;
        internal SubmissionOffsets SqOffsets;
        internal CompletionOffsets CqOffsets;
    }

    /// <summary>struct io_sqring_offsets: 40 bytes.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 40)]
    internal struct SubmissionOffsets
    {
        internal uint Head;
        internal uint Tail;
        internal uint RingMask;
        internal uint RingEntries;
        internal uint Flags;
        internal uint Dropped;
        internal uint Array;
    }

    /// <summary>struct io_cqring_offsets: 40 bytes.</summary>
    [StructLayout(LayoutKind.Sequential, Size = 40)]
    internal struct CompletionOffsets
    {
        internal uint Head;
        internal uint Tail;
        internal uint RingMask;
        internal uint RingEntries;
        internal uint Overflow;
        internal uint Cqes;
        internal uint Flags;
    }

    /// <summary>struct io_uring_rsrc_update: 16 bytes.</summary>
    [StructLayout(LayoutKind.Sequential)]
    private struct ResourceUpdate
    {
        internal uint Offset;
        internal uint Reserved;
        internal ulong Data;
    }
}
