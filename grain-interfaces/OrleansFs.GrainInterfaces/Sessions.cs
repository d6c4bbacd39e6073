using Orleans;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>One mounted client, for as long as it is mounted. Made by the client.</summary>
[GenerateSerializer, Immutable, Alias("ofs.SessionId")]
public readonly record struct SessionId([property: Id(0)] Guid Value)
{
    public static SessionId New() => new(Guid.NewGuid());

    public static SessionId Parse(string text) => new(Guid.ParseExact(text, "N"));

    public override string ToString() => Value.ToString("N");
}

/// <summary>
/// What a client shows with every call: its session, and which attachment of it. A copy that was restarted, or that ended the session's lease, knows no ticket of before and
/// answers <see cref="Errno.ENOTCONN"/>: the client attaches again. So a message that was under way before can no longer do anything.
/// </summary>
[GenerateSerializer, Immutable, Alias("ofs.SessionTicket")]
public readonly record struct SessionTicket([property: Id(0)] SessionId Session, [property: Id(1)] long Attachment);

/// <summary>
/// Names one change that a client asks for, so that it happens once however often the message arrives. As the sessions of NFS 4.1 (RFC 8881 section 2.10.6): a session has
/// slots, a slot has one request at a time, and the copy keeps the reply of each slot's newest request. The same sequence again gets that reply, a lower one
/// <see cref="Errno.ESTALE"/>, a higher one is new. (NFS wants the sequence to be the next one; here a client may skip, so that one whose outcome it never learned spoils no slot.)
/// </summary>
/// <param name="Ticket">The session.</param>
/// <param name="Slot">0 to <see cref="Limits.MaxSlots"/> - 1.</param>
/// <param name="Sequence">1 and growing.</param>
[GenerateSerializer, Immutable, Alias("ofs.ChangeRequest")]
public readonly record struct ChangeRequest([property: Id(0)] SessionTicket Ticket, [property: Id(1)] int Slot, [property: Id(2)] long Sequence);

/// <summary>What a client says of itself when it attaches.</summary>
[GenerateSerializer, Immutable, Alias("ofs.SessionStart")]
public readonly record struct SessionStart
{
    /// <summary>Where and what, for the log: "host:/mnt/ofs".</summary>
    [Id(0)] public required string Client { get; init; }

    /// <summary>When reads of the session bring up access times.</summary>
    [Id(1)] public AccessTimes AccessTimes { get; init; }

    /// <summary>What the client understands: its <see cref="GrainInterfaces.Contract.Id"/>; 0 where it is older than this.</summary>
    [Id(2)] public ulong Contract { get; init; }

    /// <summary>Of a session that goes on: the volume that it is a session of. Default: whichever the copy is of.</summary>
    [Id(3)] public VolumeId Volume { get; init; }
}

/// <summary>What a copy grants a session.</summary>
[GenerateSerializer, Immutable, Alias("ofs.SessionGrant")]
public readonly record struct SessionGrant
{
    [Id(0)] public required SessionTicket Ticket { get; init; }

    /// <summary>The session ends when nothing was heard of it for so long.</summary>
    [Id(1)] public required TimeSpan Lease { get; init; }

    /// <summary>Slots of this session: <see cref="ChangeRequest.Slot"/> is below it.</summary>
    [Id(2)] public required int Slots { get; init; }

    [Id(3)] public required CopyDescription Copy { get; init; }

    /// <summary>
    /// Which run of the copy this is. Another than before: the copy was started anew, and content that was written before and not synced since may be gone. As the verifier of NFS's WRITE and
    /// COMMIT.
    /// </summary>
    [Id(4)] public required Guid Run { get; init; }

    /// <summary>
    /// The session was not told what others changed from then on, by the volume's time: they went on without it. Where the copy is another run, content that the session still has to write to a file that was changed
    /// since does not go over that. Null: it was told everything.
    /// </summary>
    [Id(5)] public Timestamp? Lapsed { get; init; }

    /// <summary>Where the copy's grains for names and content can also be called directly, "address:port": a gateway of a silo, which tells such a connection by its first bytes. Null: nowhere.</summary>
    [Id(6)] public string? Gateway { get; init; }

    /// <summary>How often others had gone on without the session when it was granted: see <see cref="SessionPulse.Lapses"/>.</summary>
    [Id(7)] public long Lapses { get; init; }
}

/// <summary>What a copy asks of a session that showed itself.</summary>
[GenerateSerializer, Immutable, Alias("ofs.SessionPulse")]
public readonly record struct SessionPulse
{
    /// <summary>Inodes that have lost their last name and live only because this session may know them. Those it does not know it gives up with
    /// <see cref="ISessionGrain.ForgetAsync"/>. At most <see cref="Limits.MaxInodesPerCall"/>; more come with the next.</summary>
    [Id(0)] public required InodeNumber[] Orphans { get; init; }

    /// <summary>The term of the session's leases (<see cref="ISessionGrain.SubscribeAsync"/>): with another than before, everything that is cached is void. 0 where there are none.</summary>
    [Id(1)] public long Term { get; init; }

    /// <summary>See <see cref="SessionGrant.Gateway"/>: a silo that has left the cluster comes back with another.</summary>
    [Id(2)] public string? Gateway { get; init; }

    /// <summary>How often others have gone on without the session, in this run of the copy: what <see cref="ISessionGrain.RecoveredAsync"/> is told, as it was before what it says was begun.</summary>
    [Id(3)] public long Lapses { get; init; }
}

/// <summary>A copy, and the volume that it is a copy of.</summary>
[GenerateSerializer, Immutable, Alias("ofs.CopyDescription")]
public readonly record struct CopyDescription
{
    [Id(0)] public required CopyName Copy { get; init; }

    [Id(1)] public required VolumeId Volume { get; init; }

    [Id(2)] public required string VolumeName { get; init; }

    [Id(3)] public required CopyRole Role { get; init; }

    /// <summary>S, bytes.</summary>
    [Id(4)] public required int BlockSize { get; init; }

    /// <summary>Mutations answer <c>EROFS</c>.</summary>
    [Id(5)] public required bool ReadOnly { get; init; }

    [Id(6)] public required Epoch Epoch { get; init; }

    /// <summary>What the copy's silo understands: its <see cref="Contract.Id"/>. Looked at before anything else is asked of it.</summary>
    [Id(7)] public ulong Contract { get; init; }

    /// <summary>Of a former master: the epoch of the one that took over from it, which has what is newer. Null on any other copy.</summary>
    [Id(8)] public Epoch? FencedBy { get; init; }
}

/// <summary>The role of a silo.</summary>
[GenerateSerializer, Alias("ofs.CopyRole")]
public enum CopyRole
{
    Master = 0,
    Replica = 1,
}
