using System.Buffers.Binary;
using System.Collections;
using System.Globalization;
using System.Runtime.InteropServices;
using OrleansFs.Fuse.Interop;

namespace OrleansFs.Fuse.Mounting;

/// <summary>
/// fusermount3, the setuid helper of libfuse (package fuse3): it opens /dev/fuse, mounts, and sends the descriptor over the socket that _FUSE_COMMFD names.
/// </summary>
/// <remarks>Spawned by posix_spawn, because the socket has to arrive in the child under a known number and nothing else may be inherited by chance.</remarks>
internal static unsafe class Fusermount
{
    private const string Program = "fusermount3";
    private const int ChildSocket = 3;

    internal static int Mount(string mountPoint, string options)
    {
        int* sockets = stackalloc int[2];
        if (Libc.SocketPair(Libc.AF_UNIX, Libc.SOCK_STREAM_CLOEXEC, 0, sockets) != 0)
            throw new FuseMountException($"socketpair failed: {Libc.LastError}");
        try
        {
            (int pid, string? failure) = Spawn(["-o", options, "--", mountPoint], sockets[0]);
            _ = Libc.Close(sockets[0]);
            sockets[0] = -1;
            if (failure is not null)
                throw new FuseMountException(failure);
            int fd = ReceiveDescriptor(sockets[1]);
            int status = Wait(pid);
            if (fd >= 0)
                return fd;
            throw new FuseMountException($"{Program} could not mount {mountPoint} (exit status {status}); it says why on standard error");
        }
        finally
        {
            if (sockets[0] >= 0)
                _ = Libc.Close(sockets[0]);
            _ = Libc.Close(sockets[1]);
        }
    }

    /// <summary>fusermount3 -u; it answers no errno, only that it failed.</summary>
    internal static Errno Unmount(string mountPoint, bool lazy)
    {
        string[] arguments = lazy ? ["-u", "-z", "-q", "--", mountPoint] : ["-u", "-q", "--", mountPoint];
        (int pid, string? failure) = Spawn(arguments, socket: null);
        if (failure is not null)
            return Errno.ENOENT;
        return Wait(pid) == 0 ? Errno.None : Errno.EBUSY;
    }

    private static (int Pid, string? Failure) Spawn(string[] arguments, int? socket)
    {
        byte* actions = stackalloc byte[256]; // posix_spawn_file_actions_t: 80 bytes in glibc, less in musl
        _ = Libc.FileActionsInit(actions);
        List<nint> allocated = [];
        try
        {
            if (socket is int fd)
                _ = Libc.FileActionsAddDup2(actions, fd, ChildSocket);
            byte** argv = Strings([Program, .. arguments], allocated);
            byte** envp = Strings(Environment(socket is not null), allocated);
            int pid;
            int error = Libc.PosixSpawnP(&pid, argv[0], actions, null, argv, envp);
            return error == 0 ? (pid, null) : (0, $"{Program} (package fuse3) cannot be run: {(Errno)error}");
        }
        finally
        {
            allocated.ForEach(Marshal.FreeCoTaskMem);
            _ = Libc.FileActionsDestroy(actions);
        }
    }

    private static IEnumerable<string> Environment(bool withSocket)
    {
        foreach (DictionaryEntry entry in System.Environment.GetEnvironmentVariables())
        {
            if ((string)entry.Key is not ("_FUSE_COMMFD" or "_FUSE_COMMFD2"))
                yield return $"{entry.Key}={entry.Value}";
        }
        if (withSocket)
            yield return string.Create(CultureInfo.InvariantCulture, $"_FUSE_COMMFD={ChildSocket}");
    }

    private static byte** Strings(IEnumerable<string> values, List<nint> allocated)
    {
        nint[] strings = [.. values.Select(Marshal.StringToCoTaskMemUTF8), 0];
        allocated.AddRange(strings[..^1]);
        nint array = Marshal.AllocCoTaskMem(strings.Length * sizeof(nint));
        allocated.Add(array);
        Marshal.Copy(strings, 0, array, strings.Length);
        return (byte**)array;
    }

    /// <summary>One byte and one descriptor (SCM_RIGHTS); -1 where the helper hung up.</summary>
    private static int ReceiveDescriptor(int socket)
    {
        const int ControlHeader = 16; // struct cmsghdr: length 8, level 4, type 4
        byte data;
        byte* control = stackalloc byte[ControlHeader + 8];
        Libc.IoVec vector = new() { Base = &data, Length = 1 };
        Libc.MessageHeader message = new() { Vectors = &vector, VectorCount = 1, Control = control, ControlLength = ControlHeader + 8 };
        nint received;
        do
        {
            received = Libc.RecvMsg(socket, &message, Libc.MSG_CMSG_CLOEXEC);
        }
        while (received < 0 && Libc.LastError == Errno.EINTR);
        if (received <= 0 || message.ControlLength < ControlHeader + sizeof(int))
            return -1;
        ReadOnlySpan<byte> header = new(control, ControlHeader + 8);
        bool isDescriptor = BinaryPrimitives.ReadInt32LittleEndian(header[8..]) == Libc.SOL_SOCKET
            && BinaryPrimitives.ReadInt32LittleEndian(header[12..]) == Libc.SCM_RIGHTS;
        return isDescriptor ? BinaryPrimitives.ReadInt32LittleEndian(header[ControlHeader..]) : -1;
    }

    private static int Wait(int pid)
    {
        int status;
        int done;
        do
        {
            done = Libc.WaitPid(pid, &status, 0);
        }
        while (done < 0 && Libc.LastError == Errno.EINTR);
        return done < 0 ? 0 : (status >> 8) & 0xff; // ECHILD: somebody else in this process reaps all children
    }
}
