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
}
