using System.Net.Sockets;
using System.Runtime.InteropServices;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
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

    public static async Task WriteLineAsync<T>(Stream stream, T value, JsonTypeInfo<T> type, CancellationToken cancellation)
    {
        byte[] line = [.. JsonSerializer.SerializeToUtf8Bytes(value, type), (byte)'\n'];
        await stream.WriteAsync(line, cancellation);
    }

    /// <summary>The next line, or null at the end.</summary>
    /// <exception cref="InvalidDataException">A line that is too long or is not what was expected.</exception>
    public static async Task<T?> ReadLineAsync<T>(Stream stream, JsonTypeInfo<T> type, CancellationToken cancellation)
        where T : class
    {
        var line = new MemoryStream();
        byte[] one = new byte[1];
        while (await stream.ReadAsync(one, cancellation) == 1 && one[0] != (byte)'\n')
        {
            if (line.Length >= Limits.ControlLine)
                throw new InvalidDataException($"a line of the control protocol is longer than {Limits.ControlLine} bytes");
            line.Write(one);
        }
        if (line.Length == 0)
            return null;
        try
        {
            return JsonSerializer.Deserialize(line.GetBuffer().AsSpan(0, (int)line.Length), type);
        }
        catch (JsonException failure)
        {
            throw new InvalidDataException("a line of the control protocol is not understood", failure);
        }
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle open(string path, int flags);
}
