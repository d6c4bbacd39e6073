using Microsoft.Win32.SafeHandles;
using OrleansFs.Engine.Blocks;

namespace OrleansFs.Engine.Metadata;

/// <summary>
/// Has in the page cache what the writer of a log is about to write over. The WAL is used again from its beginning, and its frames are no whole pages: of each page that the kernel has let go it would read the rest
/// first, and the commit would wait for it. Not thread-safe.
/// </summary>
internal sealed class LogReadAhead(SafeFileHandle log)
{
    private const long Window = 4 << 20;

    /// <summary>Up to where the kernel has been asked.</summary>
    private long _asked;

    /// <param name="position">Bytes of the log in use.</param>
    /// <param name="isNew">It begins anew.</param>
    public void Advance(long position, bool isNew)
    {
        if (!isNew && position + Window / 2 < _asked)
            return;
        _asked = position + Window;
        LinuxFile.ReadAhead((int)log.DangerousGetHandle(), position, Window);
    }
}
