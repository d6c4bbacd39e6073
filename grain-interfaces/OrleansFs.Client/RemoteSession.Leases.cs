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

    /// <summary>Asks to be told of changes under an attachment.</summary>
    private async Task<Subscription> SubscribeAsync(Attachment to)
    {
        long sent = _time.GetTimestamp();
        return new(await AnsweredAsync(token => to.Door.SubscribeAsync(to.Ticket, _observed, token), CancellationToken.None), sent);
    }

    /// <summary>Something may be kept from now on, under the present attachment; until then, and where the copy does not tell of changes, nothing is.</summary>
    private void Begin(in Subscription subscription)
    {
        // What was answered before, also by the attachment before, is not covered.
        Forget();
        _term = subscription.Answer.TryGet(out long term, out var error) ? term : null;
        if (_term is not null)
            Cache.Trust(subscription.Sent);
        else if (error is not (Errno.EOPNOTSUPP or Errno.ENOTCONN))
            LogNotSubscribed(_logger, Copy.Copy, error);
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
                Begin(await SubscribeAsync(_attachment));
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

    /// <param name="Answer">The term of the leases.</param>
    /// <param name="Sent">When it was asked for: a timestamp.</param>
    private readonly record struct Subscription(FsResult<long> Answer, long Sent);

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
