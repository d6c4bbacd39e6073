namespace OrleansFs.Fuse;

/// <summary>Every bound of this library, with its reason.</summary>
internal static class Limits
{
    /// <summary>The largest request payload: fs.fuse.max_pages_limit is 256 pages unless an administrator raised it.</summary>
    internal const int MaxWrite = 1 << 20;

    /// <summary>Requests in flight: one a waiting thread of a program; 4096 is more than a busy server has, and 4096 request objects are 2 MiB.</summary>
    internal const int MaxInFlightRequests = 4096;

    /// <summary>Bytes in flight: 256 requests of the largest size.</summary>
    internal const long MaxInFlightBytes = 256L << 20;

    /// <summary>Notifications queued: about 8 MiB of small ones. Past it the sender is told, and may drop whole caches instead.</summary>
    internal const int MaxQueuedNotifications = 65_536;

    /// <summary>Bytes of notifications queued, for those that carry data: 64 stores of the largest size.</summary>
    internal const long MaxQueuedNotificationBytes = 64L << 20;

    /// <summary>Interrupts kept for a request that has not registered yet: far more than can be on the way between two threads.</summary>
    internal const int MaxEarlyInterrupts = 1024;

    /// <summary>How often it is looked whether the caller of a request, once signalled, is being killed: not felt by who presses Ctrl-C, and a read of a small file.</summary>
    internal static readonly TimeSpan SignalledLook = TimeSpan.FromMilliseconds(100);

    /// <summary>Request buffers kept for reuse on /dev/fuse, each up to 1 MiB resident: what busy readers need without giving memory back and forth.</summary>
    internal const int MaxSpareRequests = 32;

    /// <summary>Entries of one io_uring queue. It grows only while its entries wait for their handlers (a lock, a fetch), by one page of memory each.</summary>
    internal const int MaxRingEntries = 1024;

    /// <summary>Of the entries of a queue that cannot grow any more, one in so many is not for waits for locks: what ends these waits comes by the same queue.</summary>
    internal const int EntriesForUnlocks = 16;

    /// <summary>Entries that an io_uring queue may begin with: each is a megabyte of address space and a request the program may have under way.</summary>
    internal const int MaxQueueDepth = 256;

    /// <summary>How long a mount that was taken off is watched for its end: one without users, here or in another namespace, ends within the system call, and its threads within milliseconds; longer on a busy machine.</summary>
    internal static readonly TimeSpan DetachWatch = TimeSpan.FromSeconds(2);

    /// <summary>How often a mount is asked whether it lives that cancels the question: with <see cref="DyingPause"/> two seconds, and its process is gone already.</summary>
    internal const int DyingAttempts = 200;

    /// <summary>How long it is left alone between.</summary>
    internal static readonly TimeSpan DyingPause = TimeSpan.FromMilliseconds(10);

    /// <summary>Threads that read /dev/fuse.</summary>
    internal const int MaxReaderThreads = 64;
}
