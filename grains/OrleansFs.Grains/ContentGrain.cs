using Orleans.Concurrency;
using Orleans.GrainDirectory;
using OrleansFs.GrainInterfaces;
using OrleansFs.Grains.Placement;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>Content by its hash. Calls interleave; what may read a disk goes to a lane. <c>EOPNOTSUPP</c> where the copy knows no hashes.</summary>
[GrainType("ofs.content"), CopyPlacement, GrainDirectory(NoDirectory.Name), Reentrant]
internal sealed class ContentGrain : IGrainBase, IContentGrain
{
    private readonly CopySessions _sessions;
    private readonly bool _isOfThisVolume;

    public ContentGrain(IGrainContext context, CopySessions sessions)
    {
        GrainContext = context;
        _sessions = sessions;
        var key = NamespaceKey.Parse(GrainKeys.Text(context));
        GrainKeys.RequireHere(key.Copy, sessions.Copy);
        _isOfThisVolume = key.Volume == sessions.Copy.Description.Volume;
    }

    public IGrainContext GrainContext { get; }

    public ValueTask<FsResult<ContentInfo>> HoldAsync(SessionTicket session, ContentName content, CancellationToken cancellation) =>
        Find(session, out var error) is { } access ? _sessions.Reads.RunAsync(() => access.HoldAsync(content, cancellation), cancellation) : new(error);

    public ValueTask<BytesReply> ReadAsync(SessionTicket session, ContentName content, long offset, int length, CancellationToken cancellation)
    {
        if (Find(session, out var error) is not { } access)
            return new(error);
        return length is < 1 or > GrainInterfaces.Limits.MaxTransfer ? new(Errno.EINVAL) : _sessions.Reads.RunAsync(Read, cancellation);

        async ValueTask<BytesReply> Read()
        {
            byte[] buffer = GC.AllocateUninitializedArray<byte>(length);
            var result = await access.ReadAsync(content, offset, buffer, cancellation);
            return result.TryGet(out int read, out var failed) ? new BytesReply { Bytes = buffer.AsMemory(0, read) } : failed;
        }
    }

    public ValueTask<FsResult> ReleaseAsync(SessionTicket session, ContentName[] contents, CancellationToken cancellation)
    {
        if (Find(session, out var error) is not { } access)
            return new(error);
        if (contents.Length > GrainInterfaces.Limits.MaxInodesPerCall)
            return new(Errno.EINVAL);
        foreach (var content in contents)
            access.Release(content);
        return new(FsResult.Ok);
    }

    private IContentAccess? Find(SessionTicket ticket, out Errno error)
    {
        var session = _isOfThisVolume ? _sessions.Find(ticket) : null;
        error = session is null ? Errno.ENOTCONN : Errno.EOPNOTSUPP;
        return session?.Access as IContentAccess;
    }
}
