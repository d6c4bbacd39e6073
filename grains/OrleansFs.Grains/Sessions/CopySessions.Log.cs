using Microsoft.Extensions.Logging;
using OrleansFs.GrainInterfaces;

namespace OrleansFs.Grains.Sessions;

public sealed partial class CopySessions
{
    [LoggerMessage(Level = LogLevel.Information, Message = "session {Session} of {Client} attached")]
    private static partial void LogAttached(ILogger logger, SessionId session, string client);

    [LoggerMessage(Level = LogLevel.Information, Message = "session {Session} of {Client} detached")]
    private static partial void LogDetached(ILogger logger, SessionId session, string client);

    [LoggerMessage(Level = LogLevel.Warning, Message = "session {Session} of {Client} ended: nothing was heard of it for {Seconds:0} s; its locks and open unlinked files are given up")]
    private static partial void LogExpired(ILogger logger, SessionId session, string client, double seconds);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Client} cannot attach: there are {Count} sessions already")]
    private static partial void LogTooMany(ILogger logger, string client, int count);

    [LoggerMessage(Level = LogLevel.Error, Message = "ending silent sessions failed")]
    private static partial void LogExpiryFailed(ILogger logger, Exception exception);
}
