using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>How a session at a copy behaves.</summary>
public sealed record RemoteVolumeOptions
{
    /// <summary>Where and what, for the copy's log: "host:/mnt/ofs".</summary>
    public required string Client { get; init; }

    /// <summary>
    /// Whether writes are answered before the copy has them, and gathered: others see them when the file is closed, synced or locked, or a moment later, and a failure is told to the close or the sync. As a mount wants it. Off by
    /// default: a write that was answered is seen by all.
    /// </summary>
    public bool WriteBehind { get; init; }

    /// <summary>Whether the session is one with the master, whichever copy that is: where another copy takes over, it goes on there. Off: it stays with its copy.</summary>
    public bool FollowsMaster { get; init; }

    /// <summary>When reads bring up access times. As relatime by default.</summary>
    public AccessTimes AccessTimes { get; init; }

    /// <summary>How long a call is tried again while the copy cannot be reached, before it answers <c>EIO</c>. A minute by default;
    /// <see cref="Timeout.InfiniteTimeSpan"/> waits for ever, as a hard NFS mount does.</summary>
    public TimeSpan Patience { get; init; } = TimeSpan.FromMinutes(1);
}
