namespace OrleansFs.Client;

/// <summary>How a session at a copy behaves.</summary>
public sealed record RemoteVolumeOptions
{
    /// <summary>Where and what, for the copy's log: "host:/mnt/ofs".</summary>
    public required string Client { get; init; }

    /// <summary>How long a call is tried again while the copy cannot be reached, before it answers <c>EIO</c>. A minute by default;
    /// <see cref="Timeout.InfiniteTimeSpan"/> waits for ever, as a hard NFS mount does.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(1);
}
