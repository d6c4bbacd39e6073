using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>Names one change that a session in another process asked for: what <c>ChangeRequest</c> is on the wire.</summary>
public readonly record struct ReplyKey(Guid Session, int Slot, long Sequence);

/// <summary>One change on its way through the engine: where its reply is kept, and which inodes it changed.</summary>
/// <param name="reply">Names the reply; null where none is to be kept.</param>
public sealed class ChangeRecord(ReplyKey? reply)
{
    private readonly List<InodeNumber> _inodes = [];

    public ReplyKey? Reply { get; } = reply;

    /// <summary>The inodes of which names or attributes are others now. Complete when the change has been made.</summary>
    public IReadOnlyList<InodeNumber> Inodes => _inodes;

    internal void Add(InodeNumber inode)
    {
        if (!_inodes.Contains(inode))
            _inodes.Add(inode);
    }
}

/// <summary>The reply of a slot's newest change, as it is kept.</summary>
public sealed record KeptReply(int Slot, long Sequence, byte[] Value);

/// <summary>A session whose replies are kept beyond the end of the process.</summary>
/// <param name="Id">Its UUID.</param>
/// <param name="Client">Where and what, for the log.</param>
/// <param name="Lapsed">What others changed from then on, by the volume's time, it may not have been told; null where it was told everything.</param>
/// <param name="Ended">When its lease was over; null where it runs.</param>
public sealed record KeptSession(Guid Id, string Client, Timestamp? Lapsed, Timestamp? Ended);

/// <summary>
/// The successful reply to a change, as bytes (a failure changed nothing, and the change is made again instead). Version 1, one byte; kind, one byte: 0 nothing, 1 attributes, 2 a number. Attributes are 13 numbers of
/// 8 bytes, little-endian, in the order of their ids.
/// </summary>
public static class ReplyValue
{
    private const byte Version = 1;
    private const int Head = 2;
    private const int AttributeFields = 13;

    private enum Kind : byte
    {
        Nothing = 0,
        Attributes = 1,
        Number = 2,
    }

    internal static byte[] Nothing() => [Version, (byte)Kind.Nothing];

    internal static byte[] Of(long number)
    {
        byte[] value = new byte[Head + 8];
        (value[0], value[1]) = (Version, (byte)Kind.Number);
        BinaryPrimitives.WriteInt64LittleEndian(value.AsSpan(Head), number);
        return value;
    }

    internal static byte[] Of(in Attributes a)
    {
        byte[] value = new byte[Head + (AttributeFields * 8)];
        (value[0], value[1]) = (Version, (byte)Kind.Attributes);
        ReadOnlySpan<long> fields =
        [
            unchecked((long)a.Inode.Value), a.Mode, a.LinkCount, a.Uid, a.Gid, a.Size, a.AllocatedBytes, a.AccessTime.Nanoseconds, a.ModifyTime.Nanoseconds, a.ChangeTime.Nanoseconds,
            a.BirthTime.Nanoseconds, a.Device, (long)a.Flags,
        ];
        for (int i = 0; i < fields.Length; i++)
            BinaryPrimitives.WriteInt64LittleEndian(value.AsSpan(Head + (i * 8)), fields[i]);
        return value;
    }

    /// <summary>Reads a reply of the wanted type. False where it is of another type: the client gave two changes one name.</summary>
    public static bool TryRead<TResult>(ReadOnlySpan<byte> value, [MaybeNullWhen(false)] out TResult result)
        where TResult : struct, IFsResult<TResult>
    {
        object? found = null;
        if (value.Length >= Head && value[0] == Version)
        {
            found = (Kind)value[1] switch
            {
                Kind.Nothing => FsResult.Ok,
                Kind.Number when value.Length == Head + 8 => (FsResult<long>)BinaryPrimitives.ReadInt64LittleEndian(value[Head..]),
                Kind.Attributes when value.Length == Head + (AttributeFields * 8) => (FsResult<Attributes>)ReadAttributes(value[Head..]),
                _ => null,
            };
        }
        result = found is TResult typed ? typed : default;
        return found is TResult;
    }

    private static Attributes ReadAttributes(ReadOnlySpan<byte> from)
    {
        Span<long> f = stackalloc long[AttributeFields];
        for (int i = 0; i < f.Length; i++)
            f[i] = BinaryPrimitives.ReadInt64LittleEndian(from[(i * 8)..]);
        return new Attributes
        {
            Inode = new InodeNumber(unchecked((ulong)f[0])),
            Mode = (uint)f[1],
            LinkCount = (uint)f[2],
            Uid = (uint)f[3],
            Gid = (uint)f[4],
            Size = f[5],
            AllocatedBytes = f[6],
            AccessTime = new Timestamp(f[7]),
            ModifyTime = new Timestamp(f[8]),
            ChangeTime = new Timestamp(f[9]),
            BirthTime = new Timestamp(f[10]),
            Device = (uint)f[11],
            Flags = (InodeFlags)f[12],
        };
    }
}
