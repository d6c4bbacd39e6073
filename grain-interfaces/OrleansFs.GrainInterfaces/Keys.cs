using System.Globalization;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>
/// What the keys of all grains have in common: <c>identity@copy</c>, in text. The copy is the last part, so that placement reads it without knowing the grain;
/// neither a copy's name nor an identity holds an '@'.
/// </summary>
public static class CopyKey
{
    public const char Separator = '@';

    /// <summary>The copy in a grain's key.</summary>
    public static bool TryGetCopy(string key, out CopyName copy)
    {
        int at = key.LastIndexOf(Separator);
        copy = default;
        return at >= 0 && CopyName.TryParse(key[(at + 1)..], out copy);
    }

    internal static string Format(string identity, CopyName copy) => string.Concat(identity, "@", copy.Value);

    internal static (string Identity, CopyName Copy) Split(string key) =>
        TryGetCopy(key, out var copy) ? (key[..key.LastIndexOf(Separator)], copy) : throw new FormatException($"'{key}' is not a grain key: identity@copy");
}

/// <summary>Names <see cref="INamespaceGrain"/>.</summary>
public readonly record struct NamespaceKey(VolumeId Volume, CopyName Copy)
{
    public static NamespaceKey Parse(string key)
    {
        var (identity, copy) = CopyKey.Split(key);
        return new(VolumeId.Parse(identity), copy);
    }

    public override string ToString() => CopyKey.Format(Volume.ToString(), Copy);
}

/// <summary>Names <see cref="IFileGrain"/>.</summary>
public readonly record struct FileKey(InodeNumber Inode, CopyName Copy)
{
    public static FileKey Parse(string key)
    {
        var (identity, copy) = CopyKey.Split(key);
        return new(new InodeNumber(ulong.Parse(identity, NumberStyles.None, CultureInfo.InvariantCulture)), copy);
    }

    public override string ToString() => CopyKey.Format(Inode.ToString(), Copy);
}

/// <summary>Names <see cref="IBlockGrain"/>.</summary>
public readonly record struct BlockKey(BlockHash Hash, CopyName Copy)
{
    public static BlockKey Parse(string key)
    {
        var (identity, copy) = CopyKey.Split(key);
        return new(BlockHash.Parse(identity), copy);
    }

    public override string ToString() => CopyKey.Format(Hash.ToString(), Copy);
}

/// <summary>Names <see cref="ISessionGrain"/>.</summary>
public readonly record struct SessionKey(SessionId Session, CopyName Copy)
{
    public static SessionKey Parse(string key)
    {
        var (identity, copy) = CopyKey.Split(key);
        return new(SessionId.Parse(identity), copy);
    }

    public override string ToString() => CopyKey.Format(Session.ToString(), Copy);
}

/// <summary>Names <see cref="IReplicaGrain"/>: the replica and nothing else.</summary>
public readonly record struct ReplicaKey(CopyName Copy)
{
    private const string Identity = "replica";

    public static ReplicaKey Parse(string key) =>
        CopyKey.Split(key) is (Identity, var copy) ? new(copy) : throw new FormatException($"'{key}' is not the key of a replica: {Identity}@name");

    public override string ToString() => CopyKey.Format(Identity, Copy);
}

/// <summary>Names <see cref="IReplicationGrain"/>: which replica, on which master.</summary>
public readonly record struct ReplicationKey(CopyName Replica, CopyName Master)
{
    public static ReplicationKey Parse(string key)
    {
        var (identity, copy) = CopyKey.Split(key);
        return new(CopyName.Parse(identity), copy);
    }

    public override string ToString() => CopyKey.Format(Replica.Value, Master);
}

/// <summary>Names <see cref="ICopyGrain"/>: the copy and nothing else.</summary>
public readonly record struct CopyGrainKey(CopyName Copy)
{
    private const string Identity = "copy";

    public static CopyGrainKey Parse(string key) =>
        CopyKey.Split(key) is (Identity, var copy) ? new(copy) : throw new FormatException($"'{key}' is not the key of a copy: {Identity}@name");

    public override string ToString() => CopyKey.Format(Identity, Copy);
}
