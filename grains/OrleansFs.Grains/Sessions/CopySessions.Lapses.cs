using OrleansFs.Engine.Metadata;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Grains.Sessions;

/// <content>
/// Sessions that others went on without: what their clients still keep of content is older than what others have written since, and is not to go over it when they come back. A client that is told of a change brings
/// what it keeps of that file to disk before the change is answered (<see cref="ISessionObserver"/>); one that could not be told has lapsed, from when it was last heard of, and that is written down before the
/// change is answered. It has until it says that nothing it wrote is in memory only.
/// </content>
public sealed partial class CopySessions
{
    private readonly Lock _lapsing = new();

    /// <summary>The time of the copy when this run of it began, or it became the master: what others are answered from then on is changed later.</summary>
    private Timestamp _opened;

    private Timestamp Now => _copy.Sessions?.Now ?? Timestamp.From(_time.GetUtcNow());

    /// <summary>Nothing that the client wrote before is in memory only: it is told everything again.</summary>
    /// <param name="session">The session.</param>
    /// <param name="lapses">How often it had lapsed when that began: what came since counts. -1: it has not come to its end.</param>
    internal void CaughtUp(ClientSession session, long lapses)
    {
        lock (_lapsing)
        {
            if (session.Lapse.Since is null || session.Lapse.Count != lapses)
                return;
            session.Lapse.Since = null;
            _copy.Sessions?.Keep(Row(session, ended: null));
        }
    }

    /// <summary>Others go on without a client that was last told at some time.</summary>
    private void NoteLapsed(ClientSession session, Timestamp since, Timestamp? ended = null)
    {
        lock (_lapsing)
        {
            session.Lapse.Count++;
            bool isNews = session.Lapse.Since is not { } earlier || since < earlier;
            if (isNews)
                session.Lapse.Since = since;
            if (isNews || ended is not null)
                _copy.Sessions?.Keep(Row(session, ended));
        }
    }

    /// <summary>The volume's time at a timestamp of <see cref="TimeProvider"/>.</summary>
    private Timestamp TimeAt(long timestamp) => new(Now.Nanoseconds - (_time.GetElapsedTime(timestamp).Ticks * 100));

    private static KeptSession Row(ClientSession session, Timestamp? ended) => new(session.Ticket.Session.Value, session.Client, session.Lapse.Since, ended);
}

/// <summary>From when on a client was not told what others changed.</summary>
internal sealed class Lapse
{
    /// <summary>By the volume's time; null where it was told everything.</summary>
    public Timestamp? Since { get; set; }

    public long Count { get; set; }
}
