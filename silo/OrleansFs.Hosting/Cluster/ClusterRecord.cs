using System.Text.Json;
using System.Text.Json.Serialization;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Hosting.Cluster;

/// <summary>
/// <c>cluster.json</c> in the data folder: in which cluster this folder was last served, and where it lay. It is what a start goes by when the cluster's database cannot be reached: a folder that was part of the cluster
/// may be served without it, as it would be had it not been stopped; one of which nobody knows whether it may be a master is not.
/// </summary>
/// <remarks>The folder's place is in it, so that a copy of the folder, which has this file too, is not taken for the folder.</remarks>
internal sealed record ClusterRecord
{
    private const string FileName = "cluster.json";

    /// <summary>The database, without a password.</summary>
    public required string Cluster { get; init; }

    public required string ClusterId { get; init; }

    public required string Copy { get; init; }

    /// <summary>As <see cref="MasterClaim.FolderOf"/> has it.</summary>
    public required string Folder { get; init; }

    public static ClusterRecord Of(string dataFolder, ClusterConnection cluster, string clusterId, CopyName copy) =>
        new() { Cluster = cluster.ToString(), ClusterId = clusterId, Copy = copy.Value, Folder = MasterClaim.FolderOf(dataFolder) };

    /// <summary>What the folder's file says; null where there is none or it cannot be understood.</summary>
    public static ClusterRecord? Read(string dataFolder)
    {
        string path = Path.Combine(dataFolder, FileName);
        try
        {
            return File.Exists(path) ? JsonSerializer.Deserialize(File.ReadAllBytes(path), ClusterRecordJson.Default.ClusterRecord) : null;
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    /// <exception cref="IOException">It cannot be written.</exception>
    public void Write(string dataFolder)
    {
        if (Read(dataFolder) != this)
            WholeFile.Write(Path.Combine(dataFolder, FileName), JsonSerializer.SerializeToUtf8Bytes(this, ClusterRecordJson.Default.ClusterRecord));
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(ClusterRecord))]
internal sealed partial class ClusterRecordJson : JsonSerializerContext;
