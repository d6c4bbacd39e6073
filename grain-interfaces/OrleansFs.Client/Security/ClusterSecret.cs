using System.Data.Common;
using OrleansFs.GrainInterfaces;

namespace OrleansFs.Client.Security;

/// <summary>
/// What all silos and clients of a cluster know and nobody else: 32 random bytes in the cluster's database. Who can read that (a file of the user's own, a PostgreSQL login) may speak to the silos;
/// another user of the same machine, who can reach their ports as well, may not.
/// </summary>
public sealed class ClusterSecret
{
    /// <summary>Bytes of the secret.</summary>
    public const int Size = 32;

    private readonly byte[] _key;

    public ClusterSecret(byte[] key)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(key.Length, Size);
        _key = key;
    }

    internal ReadOnlySpan<byte> Key => _key;

    /// <exception cref="VolumeConnectionException">The database cannot be read, or is not one of a cluster.</exception>
    public static async Task<ClusterSecret> ReadAsync(ClusterConnection cluster, CancellationToken cancellation)
    {
        try
        {
            await using var connection = await cluster.OpenAsync(cancellation);
            await using var command = connection.CreateCommand();
            command.CommandText = "SELECT Secret FROM OrleansFsSecret";
            return await command.ExecuteScalarAsync(cancellation) is byte[] { Length: Size } key
                ? new ClusterSecret(key)
                : throw new VolumeConnectionException($"the cluster's database ({cluster}) holds no secret: no silo has made it whole");
        }
        catch (DbException e)
        {
            throw new VolumeConnectionException($"the cluster's database ({cluster}) cannot be used: {e.Message}", e);
        }
    }
}
