using Microsoft.Extensions.Logging;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

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

    [LoggerMessage(Level = LogLevel.Information, Message = "{Client} is not attached: it is a mount of another volume, {Volume}")]
    private static partial void LogOtherVolume(ILogger logger, string client, VolumeId volume);

    [LoggerMessage(Level = LogLevel.Warning, Message = "a mount is refused: {Mismatch}")]
    private static partial void LogOtherContract(ILogger logger, string mismatch);

    [LoggerMessage(Level = LogLevel.Information, Message = "{Count} sessions were there before the restart; they have {Seconds:0} s to come back before anything is changed")]
    private static partial void LogAwaiting(ILogger logger, int count, double seconds);

    [LoggerMessage(Level = LogLevel.Information, Message = "every session of before is back")]
    private static partial void LogAllBack(ILogger logger);

    [LoggerMessage(Level = LogLevel.Warning, Message = "{Count} sessions of before the restart have not come back in time; the others go on")]
    private static partial void LogGraceOver(ILogger logger, int count);

    [LoggerMessage(Level = LogLevel.Error, Message = "ending silent sessions failed")]
    private static partial void LogExpiryFailed(ILogger logger, Exception exception);
}
