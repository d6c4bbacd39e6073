using System.Text.Json;
using System.Text.Json.Serialization;
using OrleansFs.Model;

namespace OrleansFs.Engine.Check;

/// <summary>How far the verification of a copy is: what a restart goes on from. One object of JSON in the file <see cref="FileName"/> of the data folder.</summary>
/// <remarks>Beside meta.db and not in it: it is about the block files of this copy, and stays when a full copy replaces the metadata. Where it is lost, a pass begins anew.</remarks>
internal sealed record VerificationState
{
    public const string FileName = "verification.json";

    private const int CurrentVersion = 1;

    public int Version { get; init; } = CurrentVersion;

    /// <summary>Of the pass under way: the last block that it has looked at, in hexadecimal digits; null where it has looked at none.</summary>
    public string? Cursor { get; init; }

    /// <summary>When the pass under way began; null where there is none.</summary>
    public DateTimeOffset? Began { get; init; }

    /// <summary>It was asked for: as fast as the disk is idle.</summary>
    public bool IsAsked { get; init; }

    /// <summary>Blocks that it has verified.</summary>
    public long Blocks { get; init; }

    /// <summary>Damaged or missing ones among them.</summary>
    public long Damaged { get; init; }

    /// <summary>When the last whole pass ended; null where there was none.</summary>
    public DateTimeOffset? Last { get; init; }

    /// <summary>Blocks that it verified.</summary>
    public long LastBlocks { get; init; }

    /// <summary>What it found damaged or missing.</summary>
    public long LastDamaged { get; init; }

    /// <summary>Blocks that are damaged or missing on a master and could be had from nobody, in hexadecimal digits: the first <see cref="Limits.DamagedKept"/> of them. Null: none.</summary>
    public IReadOnlyList<string>? Unrepaired { get; init; }

    [JsonIgnore]
    public BlockHash After => Cursor is { } text && BlockHash.TryParse(text, out var hash) ? hash : BlockHash.Hole;

    /// <summary>The hashes of <see cref="Unrepaired"/>.</summary>
    public IEnumerable<BlockHash> UnrepairedBlocks()
    {
        foreach (string text in Unrepaired ?? [])
        {
            if (BlockHash.TryParse(text, out var hash))
                yield return hash;
        }
    }

    /// <summary>What a folder has; nothing done yet where it has none, or one that is not understood.</summary>
    public static VerificationState Read(string folder)
    {
        try
        {
            var state = JsonSerializer.Deserialize(File.ReadAllBytes(Path.Combine(folder, FileName)), VerificationJson.Default.VerificationState);
            return state is { Version: CurrentVersion } ? state : new VerificationState();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException or JsonException)
        {
            return new VerificationState();
        }
    }

    /// <summary>Takes the place of what the folder has. Not synced: an older one costs some blocks being read again.</summary>
    /// <exception cref="IOException">It cannot be written.</exception>
    public void Write(string folder)
    {
        string path = Path.Combine(folder, FileName), made = path + ".new";
        File.WriteAllBytes(made, JsonSerializer.SerializeToUtf8Bytes(this, VerificationJson.Default.VerificationState));
        File.Move(made, path, overwrite: true);
    }
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, WriteIndented = true)]
[JsonSerializable(typeof(VerificationState))]
internal sealed partial class VerificationJson : JsonSerializerContext;
