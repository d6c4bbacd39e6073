using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Delta;

/// <summary>The contents of the sources used last, from the block files here. Bounded; not thread-safe.</summary>
/// <param name="metadata">Knows how long they are.</param>
/// <param name="files">Where they are.</param>
/// <param name="blockSize">S, bytes.</param>
/// <param name="filesOnly">None that is composed.</param>
internal sealed class SourceContents(MetadataStore metadata, BlockFiles files, int blockSize, bool filesOnly = false)
{
    private readonly LinkedList<(BlockHash Hash, byte[] Content)> _held = [];
    private readonly int _most = Math.Max(DeltaLimits.SourcesHeld, DeltaLimits.SourceBytes / blockSize);

    /// <summary>What was wrong with the source that was last asked for; null when nothing was.</summary>
    public BlockReadResult? Fault { get; private set; }

    /// <summary>The content of a block; empty where it is not here or not whole.</summary>
    public ReadOnlyMemory<byte> Get(BlockHash hash)
    {
        Fault = null;
        for (var node = _held.First; node is not null; node = node.Next)
        {
            if (node.Value.Hash != hash)
                continue;
            _held.Remove(node);
            _held.AddFirst(node);
            return node.Value.Content;
        }
        var content = Read(hash);
        if (content.Length == 0)
            return content;
        if (_held.Count == _most)
            _held.RemoveLast();
        _held.AddFirst((hash, content));
        return content;
    }

    private byte[] Read(BlockHash hash)
    {
        // A block that no row speaks of yet tells its length itself.
        var known = metadata.TryGetBlock(hash, out var row) ? BlockReadResult.Ok(row.Length) : files.Inspect(hash);
        if (!known.IsOk)
        {
            Fault = known;
            return [];
        }
        byte[] content = GC.AllocateUninitializedArray<byte>(known.Length);
        var read = filesOnly ? files.ReadFile(hash, content) : files.Read(hash, content);
        if (read.IsOk && read.Length == content.Length)
            return content;
        Fault = read.IsOk ? BlockReadResult.Corrupt($"it is {read.Length} bytes long, not {content.Length}") : read;
        return [];
    }
}
