using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Delta;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Delta;

/// <summary>Sources in memory: files cut into blocks, of which some may be known by their sums only.</summary>
internal sealed class MemorySources(int blockSize) : IDeltaSources
{
    private readonly Dictionary<BlockHash, byte[]> _blocks = [];
    private readonly Dictionary<BlockHash, BlockHash> _next = [];
    private readonly Dictionary<BlockHash, BlockHash> _previous = [];
    private readonly Dictionary<ulong, List<BlockHash>> _weak = [];

    public FingerprintTable Weak { get; } = new(1 << 12);

    /// <summary>Contents that are not at hand.</summary>
    public HashSet<BlockHash> Evicted { get; } = [];

    /// <summary>Windows whose SHA-256 was computed and did not fit.</summary>
    public int FalseMatches { get; private set; }

    public IReadOnlyCollection<BlockHash> All => _blocks.Keys;

    public List<BlockHash> AddFile(ReadOnlySpan<byte> content)
    {
        var hashes = new List<BlockHash>();
        for (int i = 0; i < content.Length; i += blockSize)
            hashes.Add(AddBlock(content[i..Math.Min(i + blockSize, content.Length)]));
        for (int i = 1; i < hashes.Count; i++)
            (_next[hashes[i - 1]], _previous[hashes[i]]) = (hashes[i], hashes[i - 1]);
        return hashes;
    }

    public BlockHash AddBlock(ReadOnlySpan<byte> content)
    {
        var hash = BlockHash.Of(content);
        _blocks[hash] = content.ToArray();
        if (content.Length == blockSize)
            Claim(WeakChecksum.Compute(content), hash);
        return hash;
    }

    /// <summary>Says of a block that it has a checksum, whether or not it does.</summary>
    public void Claim(WeakChecksum weak, BlockHash hash)
    {
        Weak.Add(weak.Value, BlockIndex.Prefix(hash));
        if (!_weak.TryGetValue(weak.Value, out var named))
            _weak.Add(weak.Value, named = []);
        named.Add(hash);
    }

    public byte[] Content(BlockHash hash) => _blocks[hash];

    public BlockHash? Find(WeakChecksum weak, ReadOnlySpan<byte> window)
    {
        if (!_weak.TryGetValue(weak.Value, out var named))
            return null;
        var hash = BlockHash.Of(window);
        if (named.Contains(hash))
            return hash;
        FalseMatches++;
        return null;
    }

    public BlockHash? Following(BlockHash hash) => _next.TryGetValue(hash, out var next) ? next : null;

    public BlockHash? Preceding(BlockHash hash) => _previous.TryGetValue(hash, out var before) ? before : null;

    public ReadOnlySpan<byte> Read(BlockHash hash) => Evicted.Contains(hash) ? default : _blocks[hash];
}
