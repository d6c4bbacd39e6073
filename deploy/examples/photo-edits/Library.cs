using System.Text.Json;
using OrleansFs.Client;
using OrleansFs.Model;

namespace PhotoEdits;

/// <summary>What one edit says: a record of the file of edits, a line of JSON, whoever has written it.</summary>
/// <param name="Original">Content hash of the picture that it is of.</param>
/// <param name="Operation">"brighten", "rotate" (by 90 degrees), or "mirror".</param>
/// <param name="Value">How much.</param>
/// <param name="Author">Who.</param>
/// <param name="Parent">The record of the edit on which it builds; null for the original itself.</param>
internal sealed record Edit(BlockHash Original, string Operation, int Value, string Author, long? Parent);

internal sealed class LibraryException(string message) : Exception(message);

/// <summary>
/// A library of pictures in a volume. <c>photos/originals/HASH NAME</c> are the originals, each under its content hash; <c>photos/edits</c> is append-only and has one record an edit. Nothing is ever overwritten, so
/// any number of people work at once, and every copy of the volume shows the same.
/// </summary>
internal sealed class Library(VolumeClient volume)
{
    private const string Originals = "photos/originals";
    private const string Edits = "photos/edits";
    private static readonly TimeSpan s_lease = TimeSpan.FromMinutes(10);

    /// <summary>Adds a picture: its content first, under a lease, then its name. A picture that is there is found to be there.</summary>
    /// <returns>Its hash.</returns>
    public async Task<BlockHash> AddAsync(string file)
    {
        foreach (string directory in new[] { "photos", Originals })
            Check(await volume.CreateDirectoryAsync(directory), Errno.EEXIST);
        Check(await volume.CreateAppendOnlyAsync(Edits));
        await using var stream = File.OpenRead(file);
        var content = Value(await volume.PutAsync(stream, s_lease));
        Check(await volume.LinkAsync(content, $"{Originals}/{content.Hash} {Path.GetFileNameWithoutExtension(file)}"), Errno.EEXIST);
        await volume.EndLeaseAsync(content);
        return content.Hash;
    }

    /// <returns>The edit's place among all: what a later edit names as its parent.</returns>
    public async Task<long> EditAsync(Edit edit) => Value(await volume.AppendAsync(Edits, Write(edit))).Sequence;

    /// <summary>Makes a folder with each original and each edit on which no other builds, named by what they show.</summary>
    public async Task<IReadOnlyList<string>> RenderAsync(string folder)
    {
        var names = Value(await volume.ListAsync(Originals)).ToDictionary(n => BlockHash.Parse(n[..64]), n => n[65..]);
        var edits = new Dictionary<long, Edit>();
        await foreach (var record in volume.ReadRecordsAsync(Edits))
        {
            // Somebody may have written what is no edit: it is a record all the same, and no reason to show nothing.
            if (TryRead(Value(record).Data.Span) is { } edit)
                edits.Add(Value(record).Info.Sequence, edit);
        }
        Directory.CreateDirectory(folder);
        var shown = new SortedSet<string>(StringComparer.Ordinal);
        var parents = edits.Values.Select(e => e.Parent).ToHashSet();
        foreach (var (hash, name) in names)
            await ShowAsync(folder, hash, name, [], shown);
        foreach (var (sequence, edit) in edits.Where(e => !parents.Contains(e.Key) && names.ContainsKey(e.Value.Original)))
            await ShowAsync(folder, edit.Original, names[edit.Original], Chain(edits, sequence), shown);
        return [.. shown];
    }

    private async Task ShowAsync(string folder, BlockHash original, string name, IReadOnlyList<Edit> chain, SortedSet<string> shown)
    {
        var picture = Picture.Read(Value(await volume.GetAsync(original)));
        foreach (var edit in chain)
            picture = picture.Apply(edit);
        string title = string.Join(", ", new[] { name }.Concat(chain.Select(e => $"{e.Operation} {e.Value} by {e.Author}")));
        await File.WriteAllBytesAsync(Path.Combine(folder, $"{title}.ppm"), picture.Write());
        shown.Add(title);
    }

    /// <summary>An edit and those that it builds on, the first one first. A parent is always an earlier record: there is no circle.</summary>
    private static List<Edit> Chain(Dictionary<long, Edit> edits, long last)
    {
        var chain = new List<Edit>();
        for (long? at = last; at is { } sequence && edits.TryGetValue(sequence, out var edit) && !(edit.Parent >= sequence); at = edit.Parent)
            chain.Insert(0, edit);
        return chain;
    }

    private static byte[] Write(Edit edit) =>
        [.. JsonSerializer.SerializeToUtf8Bytes(new { original = edit.Original.ToString(), operation = edit.Operation, value = edit.Value, author = edit.Author, parent = edit.Parent }), (byte)'\n'];

    private static Edit? TryRead(ReadOnlySpan<byte> record)
    {
        try
        {
            using var json = JsonDocument.Parse(record.ToArray());
            var root = json.RootElement;
            long? parent = root.TryGetProperty("parent", out var p) && p.ValueKind == JsonValueKind.Number ? p.GetInt64() : null;
            return new Edit(BlockHash.Parse(root.GetProperty("original").GetString()!), root.GetProperty("operation").GetString()!, root.GetProperty("value").GetInt32(), root.GetProperty("author").GetString()!, parent);
        }
        catch (Exception e) when (e is JsonException or KeyNotFoundException or FormatException or InvalidOperationException)
        {
            return null;
        }
    }

    private static T Value<T>(FsResult<T> result) => result.TryGet(out var value, out var error) ? value : throw new LibraryException($"the volume says {error}");

    private static void Check(FsResult result, Errno alsoFine = Errno.None)
    {
        if (!result.IsOk && result.Error != alsoFine)
            throw new LibraryException($"the volume says {result.Error}");
    }
}
