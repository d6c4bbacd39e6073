using Microsoft.Extensions.Logging;

namespace OrleansFs.Hosting;

/// <summary>What of the log a person should see.</summary>
public static class HostLogging
{
    /// <summary>
    /// Quiet: warnings of ours, errors of Orleans (it warns of things that are as they should be, such as a silo that was here before). Verbose: everything of ours, and Orleans'
    /// own account of what it does.
    /// </summary>
    public static ILoggingBuilder Configure(ILoggingBuilder logging, bool verbose)
    {
        logging.SetMinimumLevel(verbose ? LogLevel.Debug : LogLevel.Warning);
        logging.AddFilter("Orleans", verbose ? LogLevel.Information : LogLevel.Error);
        logging.AddFilter("Microsoft", verbose ? LogLevel.Information : LogLevel.Error);
        // A line for each call to a copy that is away: who called says it, once.
        logging.AddFilter("Orleans.Messaging", verbose ? LogLevel.Error : LogLevel.Critical);
        // With the whole statement, at each try: who keeps something there says it, once.
        logging.AddFilter("Orleans.Storage", verbose ? LogLevel.Error : LogLevel.Critical);
        // A silo that was declared dead, a table that cannot be read: the host says so itself, and what it does about it.
        logging.AddFilter("Orleans.Runtime.MembershipService", verbose ? LogLevel.Information : LogLevel.Critical);
        // The prefix "Orleans" is one of ours too.
        logging.AddFilter("OrleansFs", verbose ? LogLevel.Debug : LogLevel.Warning);
        return logging;
    }
}
