using Orleans.GrainDirectory;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Placement;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>A block. Not reentrant: fetching, verifying, pinning and evicting one block are done one at a time. Reads and questions pass between.</summary>
[GrainType("ofs.block"), CopyPlacement, GrainDirectory(NoDirectory.Name)]
internal sealed class BlockGrain : IGrainBase, IBlockGrain
{
    private readonly CopySessions _sessions;
    private readonly IVolumeCopy _copy;
    private readonly BlockHash _hash;

    public BlockGrain(IGrainContext context, CopySessions sessions)
    {
        GrainContext = context;
        _sessions = sessions;
        _copy = sessions.Copy;
        var key = BlockKey.Parse(GrainKeys.Text(context));
        GrainKeys.RequireHere(key.Copy, _copy);
        _hash = key.Hash;
    }

    public IGrainContext GrainContext { get; }

    public ValueTask<FsResult<BlockInfo>> GetInfoAsync(CancellationToken cancellation) => new(_copy.GetBlock(_hash));

    public ValueTask<BytesReply> ReadAsync(CancellationToken cancellation) =>
        _sessions.Reads.RunAsync(() => BytesReply.Of(_copy.ReadBlockAsync(_hash, cancellation)), cancellation);

    public ValueTask<FsResult> FetchAsync(CancellationToken cancellation) =>
        _sessions.Reads.RunAsync(() => _copy.FetchBlockAsync(_hash, cancellation), cancellation);

    public ValueTask<FsResult> VerifyAsync(CancellationToken cancellation) =>
        _sessions.Reads.RunAsync(() => new ValueTask<FsResult>(_copy.VerifyBlock(_hash)), cancellation);

    public ValueTask<FsResult> SetPinnedAsync(bool pinned, CancellationToken cancellation) =>
        _sessions.Writes.RunAsync(() => _copy.SetBlockPinnedAsync(_hash, pinned, cancellation), cancellation);

    public ValueTask<FsResult> EvictAsync(CancellationToken cancellation) =>
        _sessions.Writes.RunAsync(() => _copy.EvictBlockAsync(_hash, cancellation), cancellation);
}
