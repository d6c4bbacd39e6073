using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using OrleansFs.Fuse;
using OrleansFs.Model;

namespace OrleansFs.Mount;

/// <summary>What <c>status</c> and <c>replicas</c> in the folder say: as the commands of these names, where the mount has been told how.</summary>
public sealed record FolderReports
{
    /// <summary>Text for people; null to have the status as JSON.</summary>
    public Func<CancellationToken, ValueTask<string>>? Status { get; init; }

    /// <summary>Text for people; null to have what the status says of replicas, as JSON.</summary>
    public Func<CancellationToken, ValueTask<string>>? Replicas { get; init; }

    /// <summary>The files, in the order of the listing.</summary>
    internal static readonly byte[][] Names = ["status"u8.ToArray(), "stats"u8.ToArray(), "replicas"u8.ToArray()];

    internal async ValueTask<byte[]> WriteAsync(int report, IVolumeAccess volume, Func<FuseStatistics?> statistics, CancellationToken cancellation)
    {
        string text = report switch
        {
            0 => Status is { } status ? await status(cancellation) : Json(await volume.GetStatusAsync(cancellation), s => JsonSerializer.Serialize(s, ReportJson.Default.VolumeStatus)),
            1 => Stats(statistics()),
            _ => Replicas is { } replicas ? await replicas(cancellation) : Json(await volume.GetStatusAsync(cancellation), s => JsonSerializer.Serialize(s.Replicas, ReportJson.Default.VolumeStatusReplicas)),
        };
        return Encoding.UTF8.GetBytes(text.EndsWith('\n') ? text : text + "\n");
    }

    /// <summary>A name and a number a line.</summary>
    private static string Stats(FuseStatistics? statistics)
    {
        if (statistics is null)
            return "";
        var text = new StringBuilder();
        Add("requests", statistics.TotalRequests);
        Add("in_flight", statistics.InFlight);
        Add("bytes_in_flight", statistics.BytesInFlight);
        Add("interrupts", statistics.Interrupts);
        Add("notifications", statistics.Notifications);
        Add("failed_handlers", statistics.HandlerExceptions);
        Add("malformed_requests", statistics.MalformedRequests);
        Add("resident_bytes", Environment.WorkingSet);
        foreach (var (operation, count) in statistics.Requests.OrderBy(r => r.Key, StringComparer.Ordinal))
            Add(operation, count);
        return text.ToString();

        void Add(string name, long value) => text.Append(CultureInfo.InvariantCulture, $"{name} {value}\n");
    }

    private static string Json(FsResult<VolumeStatus> status, Func<VolumeStatus, string> write) =>
        status.TryGet(out var value, out var error) ? write(value) : $"cannot be told now: {error}";
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(VolumeStatus))]
[JsonSerializable(typeof(ReplicaReport[]), TypeInfoPropertyName = "VolumeStatusReplicas")]
internal sealed partial class ReportJson : JsonSerializerContext;
