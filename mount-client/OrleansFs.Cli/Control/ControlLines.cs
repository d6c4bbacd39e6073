using System.Buffers;
using System.Text.Json;
using System.Text.Json.Serialization.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Cli.Control;

/// <summary>The control protocol's lines: a JSON object each, of which what is null is left out.</summary>
/// <remarks>
/// Written and read member by member: a serializer of whole messages would prepare for each answer that there is, whichever is sent: 1,300 methods to be compiled at each end for a line of 18 bytes. What is sent of a report is the
/// business of <see cref="ControlJson"/>, which prepares for that report only.
/// </remarks>
internal static class ControlLines
{
    public static void Write(ControlRequest request, IBufferWriter<byte> output) => Write(output, line =>
    {
        line.WriteNumber("version"u8, request.Version);
        line.WriteString("verb"u8, request.Verb.ToString());
        line.WriteBoolean("dryRun"u8, request.DryRun);
        line.WriteNumber("copies"u8, request.Copies);
        if (request.Target is { } target)
            Write(line, "target", target, ControlJson.Default.Lsn);
        if (request.Copy is { } copy)
            line.WriteString("copy"u8, copy);
        line.WriteString("verification"u8, request.Verification.ToString());
    });

    public static void Write(ControlReply reply, IBufferWriter<byte> output) => Write(output, line =>
    {
        if (reply.Error is { } error)
            line.WriteString("error"u8, error);
        if (reply.Status is { } status)
            Write(line, "status", status, ControlJson.Default.StatusReport);
        if (reply.Progress is { } progress)
            Write(line, "progress", progress, ControlJson.Default.WorkProgress);
        if (reply.Collected is { } collected)
            Write(line, "collected", collected, ControlJson.Default.CollectResult);
        if (reply.Replicas is { } replicas)
            Write(line, "replicas", replicas, ControlJson.Default.MasterReport);
        if (reply.Drain is { } drain)
            Write(line, "drain", drain, ControlJson.Default.DrainStep);
        if (reply.Verifications is { } verifications)
            Write(line, "verifications", verifications, ControlJson.Default.IReadOnlyListVerificationOfCopy);
        if (reply.Unmounted is { } unmounted)
            line.WriteBoolean("unmounted"u8, unmounted);
        if (reply.Committed is { } committed)
            line.WriteBoolean("committed"u8, committed);
    });

    /// <summary>Reads a request. A member that this program does not know is passed over.</summary>
    /// <exception cref="InvalidDataException">It is none.</exception>
    public static ControlRequest ReadRequest(ReadOnlySequence<byte> text) => Read(text, line => new ControlRequest(
        line.GetProperty("version").GetInt32(),
        Enum.Parse<ControlVerb>(line.GetProperty("verb").GetString()!),
        Find(line, "dryRun")?.GetBoolean() ?? false,
        Find(line, "copies")?.GetInt32() ?? 1,
        Find(line, "target")?.Deserialize(ControlJson.Default.Lsn),
        Find(line, "copy")?.GetString(),
        Find(line, "verification")?.GetString() is { } action ? Enum.Parse<VerificationAction>(action) : VerificationAction.Look));

    /// <summary>Reads an answer.</summary>
    /// <exception cref="InvalidDataException">It is none.</exception>
    public static ControlReply ReadReply(ReadOnlySequence<byte> text) => Read(text, line => new ControlReply
    {
        Error = Find(line, "error")?.GetString(),
        Status = Find(line, "status")?.Deserialize(ControlJson.Default.StatusReport),
        Progress = Find(line, "progress")?.Deserialize(ControlJson.Default.WorkProgress),
        Collected = Find(line, "collected")?.Deserialize(ControlJson.Default.CollectResult),
        Replicas = Find(line, "replicas")?.Deserialize(ControlJson.Default.MasterReport),
        Drain = Find(line, "drain")?.Deserialize(ControlJson.Default.DrainStep),
        Verifications = Find(line, "verifications")?.Deserialize(ControlJson.Default.IReadOnlyListVerificationOfCopy),
        Unmounted = Find(line, "unmounted")?.GetBoolean(),
        Committed = Find(line, "committed")?.GetBoolean(),
    });

    private static void Write(IBufferWriter<byte> output, Action<Utf8JsonWriter> members)
    {
        using (var line = new Utf8JsonWriter(output))
        {
            line.WriteStartObject();
            members(line);
            line.WriteEndObject();
        }
        output.Write("\n"u8);
    }

    private static void Write<T>(Utf8JsonWriter line, string name, T value, JsonTypeInfo<T> type)
    {
        line.WritePropertyName(name);
        JsonSerializer.Serialize(line, value, type);
    }

    private static T Read<T>(ReadOnlySequence<byte> text, Func<JsonElement, T> message)
    {
        try
        {
            using var line = JsonDocument.Parse(text);
            return message(line.RootElement);
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException or KeyNotFoundException or FormatException or ArgumentException)
        {
            throw new InvalidDataException("a line of the control protocol is not understood", failure);
        }
    }

    private static JsonElement? Find(JsonElement line, string name) => line.TryGetProperty(name, out var value) && value.ValueKind != JsonValueKind.Null ? value : null;
}
