using System.Net;
using System.Text.Json;
using System.Text.Json.Serialization;
using Orleans.Runtime;

namespace OrleansFs.Hosting;

/// <summary>
/// <c>silo.json</c> in the data folder: how tools on this host reach the process that serves it. There while the silo runs; one that is found when a silo starts was left by a
/// process that did not stop in order, and says which row of the membership was its.
/// </summary>
public sealed record SiloFile
{
    /// <summary>The file's name in the data folder.</summary>
    public const string FileName = "silo.json";

    public required int Pid { get; init; }

    /// <summary>Name of the silo and of the copy.</summary>
    public required string Name { get; init; }

    /// <summary>"master" or "replica".</summary>
    public required string Role { get; init; }

    /// <summary>UUID of the volume.</summary>
    public required string Volume { get; init; }

    public required string ClusterId { get; init; }

    /// <summary>Address and port for other silos.</summary>
    public required string Silo { get; init; }

    /// <summary>Address and port for clients.</summary>
    public required string Gateway { get; init; }

    /// <summary>What the membership calls this run of the silo.</summary>
    public required string Member { get; init; }

    public required DateTimeOffset Started { get; init; }

    /// <summary>Where the folder lay, and on which machine: a copy of the folder has this file too, which then says nothing of that copy. Null in a file of an older program.</summary>
    public string? Folder { get; init; }

    internal SiloAddress MemberAddress => SiloAddress.FromParsableString(Member);

    /// <summary>The gateway's address.</summary>
    [JsonIgnore]
    public IPEndPoint GatewayEndpoint => IPEndPoint.Parse(Gateway);

    /// <summary>What the folder's file says; null where there is none or it cannot be understood.</summary>
    public static SiloFile? Read(string dataFolder)
    {
        string path = Path.Combine(dataFolder, FileName);
        try
        {
            return File.Exists(path) ? JsonSerializer.Deserialize(File.ReadAllBytes(path), SiloFileJson.Default.SiloFile) : null;
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }

    internal void Write(string dataFolder) => WholeFile.Write(Path.Combine(dataFolder, FileName), JsonSerializer.SerializeToUtf8Bytes(this, SiloFileJson.Default.SiloFile));

    internal static void Delete(string dataFolder) => File.Delete(Path.Combine(dataFolder, FileName));
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(SiloFile))]
internal sealed partial class SiloFileJson : JsonSerializerContext;
