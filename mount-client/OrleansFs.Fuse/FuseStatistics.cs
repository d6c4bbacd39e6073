namespace OrleansFs.Fuse;

/// <summary>Which way requests travel.</summary>
public enum FuseTransport
{
    /// <summary>Reading and writing /dev/fuse.</summary>
    Device,
    /// <summary>FUSE over io_uring, and /dev/fuse for FORGET and INTERRUPT.</summary>
    IoUring,
}

/// <summary>What a mount did so far.</summary>
public sealed record FuseStatistics
{
    /// <summary>Requests by operation (FUSE_LOOKUP ...); only those that came.</summary>
    public required IReadOnlyDictionary<string, long> Requests { get; init; }

    /// <summary>Requests in all.</summary>
    public required long TotalRequests { get; init; }

    /// <summary>Requests whose handler has not completed.</summary>
    public required int InFlight { get; init; }

    /// <summary>Bytes of the buffers of requests whose handler has not completed.</summary>
    public required long BytesInFlight { get; init; }

    /// <summary>Handlers that threw.</summary>
    public required long HandlerExceptions { get; init; }

    /// <summary>Requests that could not be understood.</summary>
    public required long MalformedRequests { get; init; }

    /// <summary>Requests that the caller interrupted.</summary>
    public required long Interrupts { get; init; }

    /// <summary>Notifications sent.</summary>
    public required long Notifications { get; init; }

    /// <summary>The way that requests travel.</summary>
    public required FuseTransport Transport { get; init; }

    /// <summary>Why io_uring is not in use; absent where it is.</summary>
    public required string? IoUringUnavailable { get; init; }

    /// <summary>The protocol version in use, for instance "7.45"; absent before INIT.</summary>
    public required string? ProtocolVersion { get; init; }

    /// <summary>What was agreed at INIT.</summary>
    public required FuseCapabilities Capabilities { get; init; }
}
