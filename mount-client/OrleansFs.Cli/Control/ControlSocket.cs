using System.Buffers;
using System.IO.Pipelines;
using System.Net.Sockets;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace OrleansFs.Cli.Control;

/// <summary>The unix socket <c>control.sock</c> in a data folder, and lines of JSON over it.</summary>
internal static partial class ControlSocket
{
    public const string Name = "control.sock";

    private const int ENOENT = 2;
    private const int EACCES = 13;
    private const int ENOTDIR = 20;
    private const int O_PATH_DIRECTORY = 0x200000 | 0x80000; // O_PATH | O_CLOEXEC

    /// <summary>
    /// A way to name the socket that fits the 108 bytes of sun_path however long the folder's path is. The handle has to live while the name is used. Null where there is no such folder.
    /// </summary>
    /// <exception cref="CommandException">The folder is closed to this user.</exception>
    public static (SafeFileHandle Folder, UnixDomainSocketEndPoint Address)? Address(string folder)
    {
        var handle = open(folder, O_PATH_DIRECTORY);
        if (!handle.IsInvalid)
            return (handle, new UnixDomainSocketEndPoint($"/proc/self/fd/{handle.DangerousGetHandle()}/{Name}"));
        return Marshal.GetLastPInvokeError() switch
        {
            ENOENT or ENOTDIR => null,
            EACCES => throw NotAllowed(folder),
            _ => throw new CommandException($"{folder}: {Marshal.GetLastPInvokeErrorMessage()}"),
        };
    }

    /// <summary>The folder or its socket is closed to this user.</summary>
    public static CommandException NotAllowed(string folder) => new($"only the owner of {folder} and root may ask about it");

    public static async Task WriteLineAsync(Stream stream, Action<IBufferWriter<byte>> write, CancellationToken cancellation)
    {
        var line = new ArrayBufferWriter<byte>();
        write(line);
        await stream.WriteAsync(line.WrittenMemory, cancellation);
    }

    /// <summary>The next line, without its end; null at the end, or where nothing but a part of a line came.</summary>
    /// <param name="from">What comes on the socket, from <see cref="Reader"/>.</param>
    /// <param name="read">Reads a line.</param>
    /// <param name="cancellation">Ends the wait.</param>
    /// <exception cref="InvalidDataException">A line that is too long or is not what was expected.</exception>
    public static async Task<T?> ReadLineAsync<T>(PipeReader from, Func<ReadOnlySequence<byte>, T> read, CancellationToken cancellation)
        where T : class
    {
        while (true)
        {
            var result = await from.ReadAsync(cancellation);
            var end = result.Buffer.PositionOf((byte)'\n');
            if ((end is { } at ? result.Buffer.Slice(0, at) : result.Buffer).Length > Limits.ControlLine)
                throw new InvalidDataException($"a line of the control protocol is longer than {Limits.ControlLine} bytes");
            if (end is { } found)
            {
                var message = read(result.Buffer.Slice(0, found));
                from.AdvanceTo(result.Buffer.GetPosition(1, found));
                return message;
            }
            if (result.IsCompleted)
                return null;
            from.AdvanceTo(result.Buffer.Start, result.Buffer.End);
        }
    }

    /// <summary>What comes on a connection. The stream stays with who has it.</summary>
    public static PipeReader Reader(Stream stream) => PipeReader.Create(stream, new StreamPipeReaderOptions(leaveOpen: true));

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle open(string path, int flags);
}
