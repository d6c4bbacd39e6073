using System.Text.Encodings.Web;
using System.Text.Json;
using System.Text.Json.Serialization;
using OrleansFs.Cli.Control;
using OrleansFs.Cli.Output;
using OrleansFs.Model;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs replicas</c>: how each replica of a volume stands.</summary>
internal static class ReplicasCommand
{
    public static async Task<int> RunAsync(string where, string? copy, bool json)
    {
        using var interrupt = new Interrupt();
        await using var master = await MasterLocation.OpenAsync(where, copy is null ? null : CopyNames.Parse("--copy", copy), interrupt.Token);
        var report = await master.ReplicasAsync(interrupt.Token);
        Console.WriteLine(json ? ReadableJson.Serialize(report) : ReplicasText.Render(report, TimeProvider.System.GetUtcNow()));
        return ExitCode.Success;
    }
}

/// <summary>What <c>replicas --json</c> and <c>why --json</c> print: every field always there, null where it is not known.</summary>
[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true, Converters = [typeof(ReplicaStateConverter)])]
[JsonSerializable(typeof(MasterReport))]
[JsonSerializable(typeof(FileResidency))]
[JsonSerializable(typeof(System.Text.Json.Nodes.JsonObject))]
internal sealed partial class ReplicasJson : JsonSerializerContext;

/// <summary>JSON for people and parsers.</summary>
internal static class ReadableJson
{
    /// <summary>Text as it is: this goes to a terminal or a parser, never into a web page.</summary>
    private static readonly JsonSerializerOptions s_options = new(ReplicasJson.Default.Options) { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <param name="value">Of a type that <see cref="ReplicasJson"/> knows.</param>
    public static string Serialize<T>(T value) => JsonSerializer.Serialize(value, s_options);
}

/// <summary>States as the words of the command line: "catching-up".</summary>
internal sealed class ReplicaStateConverter() : JsonStringEnumConverter<ReplicaState>(JsonNamingPolicy.KebabCaseLower);

/// <summary>Names of copies on a command line.</summary>
internal static class CopyNames
{
    /// <exception cref="CommandException">One line that says what is wrong.</exception>
    public static CopyName Parse(string option, string text) =>
        CopyName.TryParse(text, out var name) ? name : throw new CommandException($"{option} {text}: a name is 1 to 63 of a-z, 0-9, '-', '_' and '.', and begins with a letter or digit");
}
