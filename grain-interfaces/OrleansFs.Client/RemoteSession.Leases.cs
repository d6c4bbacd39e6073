using Microsoft.Extensions.Logging;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <content>Leases: what this session was answered, it may answer again until the copy recalls it.</content>
internal sealed partial class RemoteSession
{
    private readonly Observer _observer;
    private readonly ISessionObserver _observed;
    private long? _term;

    /// <summary>The copy is one that tells what others change.</summary>
    private bool _tells = true;

    /// <summary>What is known of names and attributes.</summary>
    public SessionCache Cache { get; }

    /// <summary>How often others have gone on without the session, as far as it has been told.</summary>
    private long _lapses;

    /// <summary>Asks to be told of changes under an attachment. Until then, and where the copy does not do that, nothing is kept.</summary>
    private async Task SubscribeAsync(Attachment to)
    {
        long sent = _time.GetTimestamp();
        var result = await AnsweredAsync(token => to.Door.SubscribeAsync(to.Ticket, _observed, token), CancellationToken.None);
        // What was answered before is not covered.
        Forget();
        _term = result.TryGet(out long term, out var error) ? term : null;
        if (_term is not null)
            Cache.Trust(sent);
        else if (error is not (Errno.EOPNOTSUPP or Errno.ENOTCONN))
            LogNotSubscribed(_logger, to.Grant.Copy.Copy, error);
        _tells = error != Errno.EOPNOTSUPP;
    }

    /// <summary>Asks again where the answer was lost, or the copy has no leases of this session any more.</summary>
    private async Task SubscribeAgainAsync()
    {
        if (_term is not null || !_tells)
            return;
        await _attaching.WaitAsync(_ended.Token);
        try
        {
            if (_term is null)
                await SubscribeAsync(_attachment);
        }
        finally
        {
            _attaching.Release();
        }
    }

    /// <summary>A heartbeat was answered.</summary>
    private void Renew(long sent, SessionPulse pulse)
    {
        // Others have gone on without it once more. What was said of the time before does not count.
        if (Interlocked.Exchange(ref _lapses, pulse.Lapses) != pulse.Lapses)
            CatchUp();
        if (_term is not { } term)
            return;
        if (pulse.Term != term)
        {
            // Nobody waited for this session to let go: it was not heard of for too long.
            Forget();
            CatchUp();
            _term = pulse.Term == 0 ? null : pulse.Term;
        }
        if (_term is not null)
            Cache.Trust(sent);
    }

    private void Forget()
    {
        Cache.Reset();
        Behind?.DoubtAll();
        _holder.InvalidateAll();
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "the copy '{Copy}' does not tell what others change: {Error}; nothing is cached")]
    private static partial void LogNotSubscribed(ILogger logger, CopyName copy, Errno error);

    /// <summary>Hears of recalls. Orleans holds it weakly, so the session holds it.</summary>
    private sealed class Observer(RemoteSession session, SessionCache cache, WriteBehind? behind, ICacheHolder holder) : ISessionObserver
    {
        public async Task RecallAsync(InodeNumber[] inodes, bool areChanged)
        {
            cache.Recall(inodes);
            behind?.Doubt(inodes);
            await Task.WhenAll(holder.InvalidateAsync(inodes, areChanged).AsTask(), session.SettleKeptAsync(inodes));
        }
    }
}
