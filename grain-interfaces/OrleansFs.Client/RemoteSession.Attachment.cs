using Microsoft.Extensions.Logging;
using Orleans;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>
/// Where the session is attached. One with the master follows it: where a replica was promoted, the session goes on at that one as at a copy that was started anew. The replies to its changes are there, as far as the copy
/// before had replicated them, and what it keeps of content is written again. Only forward: a copy of the same epoch or a lower one is never followed, so that a former master that does not know yet what has become of it is
/// not taken for the master.
/// </content>
internal sealed partial class RemoteSession
{
    private Task _following = Task.CompletedTask;

    /// <summary>Why the copy did not take the session the last time, said once; null: it did. <see cref="_attaching"/> guards it.</summary>
    private string? _refusal;

    private static ISessionGrain Door(IGrainFactory grains, SessionId id, CopyName copy) => grains.GetGrain<ISessionGrain>(new SessionKey(id, copy).ToString());

    /// <summary>The copy that has taken over from the one of the newest attachment; null where none is known now, or the session stays where it is.</summary>
    private async Task<CopyName?> FindSuccessorAsync(CancellationToken cancellation)
    {
        if (!_options.FollowsMaster)
            return null;
        using var patience = new CancellationTokenSource(Limits.SuccessorTimeout, _time);
        using var linked = CancellationTokenSource.CreateLinkedTokenSource(patience.Token, cancellation);
        try
        {
            return await _connection.FindMasterAsync(Copy.Volume, linked.Token) is { } master && master.Epoch.Value > Copy.Epoch.Value ? master.Copy : null;
        }
        catch (Exception e) when (e is VolumeConnectionException || (e is OperationCanceledException && !cancellation.IsCancellationRequested))
        {
            LogNoSuccessor(_logger, Copy.Copy, e.Message);
            return null;
        }
    }

    private async Task SayRefusedAsync(CopyName copy, Errno error, CancellationToken cancellation)
    {
        string refusal = error == Errno.ESTALE ? await StrangerAsync(copy, cancellation) : Refusal(copy, error);
        if (refusal == _refusal)
            return;
        _refusal = refusal;
        LogAttachRefused(_logger, refusal);
    }

    /// <summary>That another volume is served under the copy's name, and which.</summary>
    private async Task<string> StrangerAsync(CopyName copy, CancellationToken cancellation)
    {
        var grain = Grains.GetGrain<ICopyGrain>(new CopyGrainKey(copy).ToString());
        var found = await AnsweredAsync(grain.DescribeAsync, CancellationToken.None).AsTask().WaitAsync(Limits.HeartbeatTimeout, _time, cancellation);
        string which = found.TryGet(out var there, out _) ? $": '{there.VolumeName}' ({there.Volume})" : "";
        return $"the silo '{copy}' serves another volume{which}. This mount is of '{Copy.VolumeName}' ({Copy.Volume}), and waits for that: is the disk of the silo's folder mounted?";
    }

    /// <summary>The copy cannot be reached, or takes no changes any more: looks whether another has taken over, beside everything else. The heart is the only caller.</summary>
    private void BeginToFollow()
    {
        if (_options.FollowsMaster && _following.IsCompleted)
            _following = Task.Run(FollowAsync, CancellationToken.None);
    }

    private async Task FollowAsync()
    {
        try
        {
            var left = Ticket;
            if (await FindSuccessorAsync(_ended.Token) is not { } successor)
                return;
            await _attaching.WaitAsync(_ended.Token);
            try
            {
                if (Ticket == left && await TryAttachAtAsync(successor, _ended.Token))
                    Back();
            }
            finally
            {
                _attaching.Release();
            }
        }
        catch (OperationCanceledException) when (_ended.IsCancellationRequested)
        {
            // The session ends.
        }
        catch (Exception e) when (Interruption.Is(e))
        {
            LogNoSuccessor(_logger, Copy.Copy, e.Message);
        }
        catch (Exception e)
        {
            LogFollowFailed(_logger, e);
        }
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "the session is not attached anew: {Refusal}")]
    private static partial void LogAttachRefused(ILogger logger, string refusal);

    [LoggerMessage(Level = LogLevel.Debug, Message = "no copy is known to have taken over from '{Copy}': {Reason}")]
    private static partial void LogNoSuccessor(ILogger logger, CopyName copy, string reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "it cannot be found out whether another copy has taken over")]
    private static partial void LogFollowFailed(ILogger logger, Exception exception);

    /// <summary>A grant and the grains of its copy, as one reference: read by many while one is put in its place.</summary>
    private sealed class Attachment(IGrainFactory grains, SessionId id, SessionGrant grant)
    {
        public SessionGrant Grant => grant;

        public SessionTicket Ticket => grant.Ticket;

        public ISessionGrain Door { get; } = RemoteSession.Door(grains, id, grant.Copy.Copy);

        public INamespaceGrain Names { get; } = grains.GetGrain<INamespaceGrain>(new NamespaceKey(grant.Copy.Volume, grant.Copy.Copy).ToString());

        public IFileGrain File(InodeNumber inode) => grains.GetGrain<IFileGrain>(new FileKey(inode, grant.Copy.Copy).ToString());
    }
}
