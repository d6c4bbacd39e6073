using System.Buffers.Binary;
using System.Collections;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;
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
    private const int ChildError = 2;
    private const int LongestReason = 4096; // bytes of what it wrote: a line or two

    internal static int Mount(string mountPoint, string options)
    {
        // What it says on standard error comes back over the second pair: a mount in the background has no other place to show it.
        SocketPair descriptor = SocketPair.Create(), words = SocketPair.Create();
        try
        {
            (int pid, string? failure) = Spawn(["-o", options, "--", mountPoint], descriptor.Child, words.Child);
            descriptor.CloseChild();
            words.CloseChild();
            if (failure is not null)
                throw new FuseMountException(failure);
            int fd = ReceiveDescriptor(descriptor.Own);
            int status = Wait(pid);
            if (fd >= 0)
                return fd;
            string reason = ReadAll(words.Own);
            throw new FuseMountException($"{mountPoint} cannot be mounted: {(reason.Length > 0 ? reason : $"{Program} ended with status {status}")}");
        }
        finally
        {
            descriptor.Close();
            words.Close();
        }
    }

    /// <summary>fusermount3 -u; it answers no errno, only that it failed.</summary>
    internal static Errno Unmount(string mountPoint, bool lazy)
    {
        string[] arguments = lazy ? ["-u", "-z", "-q", "--", mountPoint] : ["-u", "-q", "--", mountPoint];
        (int pid, string? failure) = Spawn(arguments, socket: null, error: null);
        if (failure is not null)
            return Errno.ENOENT;
        return Wait(pid) == 0 ? Errno.None : Errno.EBUSY;
    }

    /// <summary>What the helper wrote before it ended, in one line and without its name in front.</summary>
    private static string ReadAll(int socket)
    {
        byte* buffer = stackalloc byte[LongestReason];
        int length = 0;
        nint read;
        while (length < LongestReason && (read = Libc.Read(socket, buffer + length, (nuint)(LongestReason - length))) > 0)
            length += (int)read;
        string text = Encoding.UTF8.GetString(buffer, length).Trim().ReplaceLineEndings(" | ");
        return text.StartsWith($"{Program}: ", StringComparison.Ordinal) ? text[(Program.Length + 2)..] : text;
    }

    private static (int Pid, string? Failure) Spawn(string[] arguments, int? socket, int? error)
    {
        byte* actions = stackalloc byte[256]; // posix_spawn_file_actions_t: 80 bytes in glibc, less in musl
        _ = Libc.FileActionsInit(actions);
        List<nint> allocated = [];
        try
        {
            if (socket is int fd)
                _ = Libc.FileActionsAddDup2(actions, fd, ChildSocket);
            if (error is int words)
                _ = Libc.FileActionsAddDup2(actions, words, ChildError);
            byte** argv = Strings([Program, .. arguments], allocated);
            byte** envp = Strings(Environment(socket is not null), allocated);
            int pid;
            int result = Libc.PosixSpawnP(&pid, argv[0], actions, null, argv, envp);
            return result == 0 ? (pid, null) : (0, $"{Program} (package fuse3) cannot be run: {(Errno)result}");
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

    /// <summary>Two connected sockets, one of them for a child.</summary>
    private struct SocketPair
    {
        private const int Closed = -1;

        internal int Own;
        internal int Child;

        internal static SocketPair Create()
        {
            int* sockets = stackalloc int[2];
            return Libc.SocketPair(Libc.AF_UNIX, Libc.SOCK_STREAM_CLOEXEC, 0, sockets) == 0
                ? new SocketPair { Own = sockets[0], Child = sockets[1] }
                : throw new FuseMountException($"socketpair failed: {Libc.LastError}");
        }

        internal void CloseChild()
        {
            if (Child != Closed)
                _ = Libc.Close(Child);
            Child = Closed;
        }

        internal void Close()
        {
            CloseChild();
            _ = Libc.Close(Own);
        }
    }
}
