using System.ComponentModel;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;
using OrleansFs.Model;
using OrleansFs.Mount;

namespace OrleansFs.Cli.Files;

/// <summary>A file on a mount, opened for reading, of whose blocks can be asked.</summary>
internal sealed partial class OpenFile : IDisposable
{
    private const int O_NONBLOCK_NOFOLLOW_CLOEXEC = 0x800 | 0x20000 | 0x80000;
    private const int ENOTTY = 25;
    private const int EINVAL = 22;
    private const int EOPNOTSUPP = 95;
    private const int EROFS = 30;
    private const int EIO = 5;
    private const int EPERM = 1;
    private const int ENOSPC = 28;
    private const int ELOOP = 40;
    private readonly SafeFileHandle _file;
    private readonly string _path;

    private OpenFile(SafeFileHandle file, string path)
    {
        _file = file;
        _path = path;
    }

    /// <exception cref="CommandException">It cannot be opened, or is no regular file.</exception>
    public static OpenFile Open(string path) => FileKind.MayHaveContent(path) ? OpenAny(path) : throw Refused(path, EINVAL);

    /// <summary>Why nothing below a directory can be asked for, in one line; null where it is on a mount.</summary>
    public static string? FaultOfDirectory(string path)
    {
        try
        {
            using var directory = OpenAny(path);
            return ioctl(directory._file, ResidencyIoctl.Why, new byte[ResidencyIoctl.WhySize]) < 0 && Marshal.GetLastPInvokeError() is not EINVAL and var error ? Refused(path, error).Message : null;
        }
        catch (CommandException fault)
        {
            return fault.Message;
        }
    }

    private static OpenFile OpenAny(string path)
    {
        var file = open(path, O_NONBLOCK_NOFOLLOW_CLOEXEC);
        if (!file.IsInvalid)
            return new OpenFile(file, path);
        int error = Marshal.GetLastPInvokeError();
        throw new CommandException($"{path}: {(error == ELOOP ? "a symbolic link: name what it leads to" : Describe(error))}");
    }

    /// <summary>Where its blocks are.</summary>
    /// <exception cref="CommandException">It cannot be told.</exception>
    public FileResidency Why()
    {
        byte[] answer = new byte[ResidencyIoctl.WhySize];
        int length = ioctl(_file, ResidencyIoctl.Why, answer);
        return length >= 0 ? ResidencyIoctl.ReadWhy(answer.AsSpan(0, length)) : throw Refused(_path, Marshal.GetLastPInvokeError());
    }

    /// <summary>Changes where the blocks of a part of it are.</summary>
    /// <exception cref="CommandException">It cannot be done.</exception>
    public ResidencyChange Change(ResidencyAction action, long offset, long length)
    {
        byte[] argument = new byte[ResidencyIoctl.ChangeSize];
        ResidencyIoctl.WriteRequest(argument, action, offset, length);
        return ioctl(_file, ResidencyIoctl.Change, argument) >= 0 ? ResidencyIoctl.ReadAnswer(argument) : throw Refused(_path, Marshal.GetLastPInvokeError());
    }

    /// <summary>Bytes.</summary>
    public long Length => RandomAccess.GetLength(_file);

    public void Dispose() => _file.Dispose();

    private static CommandException Refused(string path, int error) => new($"{path}: " + error switch
    {
        ENOTTY => "is not on a mount of a volume",
        EINVAL => "has no blocks: only regular files have",
        EPERM => "only its owner and root may ask for that",
        EROFS => "only a mount of the master that is not read-only can do that; a replica keeps everything",
        EOPNOTSUPP => "the master gives up nothing: it was started without --cache-size",
        EIO => "a block is not here, and no replica could give it ('orleansfs status' says more)",
        ENOSPC => "cannot be pinned: four fifths of the cache may be, and what replicas have not got yet stays too; unpin something, or allow the cache more with --cache-size",
        _ => Describe(error),
    });

    private static string Describe(int error) => new Win32Exception(error).Message;

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial SafeFileHandle open(string path, int flags);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(SafeFileHandle file, nuint command, [In, Out] byte[] argument);
}
