using System.Globalization;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.Json.Nodes;
using OrleansFs.Cli.Files;
using OrleansFs.Cli.Output;
using OrleansFs.Model;

namespace OrleansFs.Cli.Commands;

/// <summary><c>orleansfs why</c>: where the blocks of a file are, who else has them, and what deleting it would free.</summary>
internal static class WhyCommand
{
    private const int LabelWidth = 12;

    [MethodImpl(MethodImplOptions.NoInlining)]
    public static async Task<int> RunAsync(string path, bool json)
    {
        using var interrupt = new Interrupt();
        if (Directory.Exists(path))
            throw new CommandException($"{path} is a directory: name a file");
        var why = await Task.Run(() => Ask(path), CancellationToken.None).WaitAsync(interrupt.Token);
        Console.WriteLine(json ? Json(path, why) : Text(path, why));
        return ExitCode.Success;
    }

    private static FileResidency Ask(string path)
    {
        using var file = OpenFile.Open(path);
        return file.Why();
    }

    private static string Json(string path, in FileResidency why)
    {
        var document = new JsonObject { ["path"] = Path.GetFullPath(path) };
        foreach (var (name, value) in JsonNode.Parse(ReadableJson.Serialize(why))!.AsObject())
            document[name] = value?.DeepClone();
        return ReadableJson.Serialize(document);
    }

    private static string Text(string path, FileResidency why)
    {
        var lines = new List<string> { $"{path}: {ByteSize.Format(why.Size)} in {Count(why.Blocks, "block")}, as the {What(why)} '{why.Copy}' has it" };
        Add("local", $"{Count(why.LocalBlocks, "block")}, {ByteSize.Format(why.LocalBytes)}");
        Add("evicted", $"{Count(why.EvictedBlocks, "block")}, {ByteSize.Format(why.StoredBytes - why.LocalBytes)}");
        Add("pinned", Count(why.PinnedBlocks, "block"));
        if (why.ComposedBlocks > 0)
            Add("composed", $"{Count(why.ComposedBlocks, "block")} out of others");
        Add("in flight", why.IsInFlight ? "content newer than these blocks is in memory" : "nothing");
        if (why.IsMaster)
        {
            Add("copies", why.Blocks == 0 ? "there is nothing to copy" : $"{Count(why.Copies, "replica")} with every block");
            foreach (var replica in why.Replicas)
                Add("", $"{replica.Name}: {replica.Blocks} of {Count(why.Blocks, "block")}");
            Add("only here", Count(why.OnlyHereBlocks, "block"));
        }
        Add("shared", $"{Count(why.SharedBlocks, "block")}, {ByteSize.Format(why.SharedBytes)}, with other files or other places in this one");
        Add("deleting", $"frees {ByteSize.Format(why.FreedBytes)} here" + (why.Links > 1 ? $", when the last of its {why.Links} names goes" : ""));
        return string.Join('\n', lines);

        void Add(string label, string text) => lines.Add("  " + label.PadRight(LabelWidth) + text);
    }

    private static string What(in FileResidency why) => why switch { { IsFenced: true } => "former master", { IsMaster: true } => "master", _ => "replica" };

    private static string Count(long count, string what) => string.Create(CultureInfo.InvariantCulture, $"{count:N0} {what}{(count == 1 ? "" : "s")}");
}
