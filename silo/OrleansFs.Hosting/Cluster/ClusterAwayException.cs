using System.Net.Sockets;
using Npgsql;

namespace OrleansFs.Hosting.Cluster;

/// <summary>The cluster's database cannot be reached now. Nothing is wrong with it as far as is known: a network that is away, a server that starts.</summary>
internal sealed class ClusterAwayException(string message, Exception? inner = null) : HostException(message, inner)
{
    /// <summary>PostgreSQL's class of errors for a server that stops, crashes or starts.</summary>
    private const string OperatorIntervention = "57P0";

    /// <summary>Whether an exception says no more than that. A database that answers, and refuses, is another matter: it has to be put right by somebody.</summary>
    public static bool Explains(Exception? e)
    {
        for (; e is not null; e = e.InnerException)
        {
            if (e is PostgresException answered)
                return answered.SqlState.StartsWith(OperatorIntervention, StringComparison.Ordinal);
            if (e is NpgsqlException or SocketException or TimeoutException)
                return true;
        }
        return false;
    }

    /// <summary>What a failure to use the cluster's database is: away, or unusable.</summary>
    public static HostException Of(string cluster, Exception e)
    {
        string reason = e.GetBaseException().Message.ReplaceLineEndings(" ");
        return Explains(e)
            ? new ClusterAwayException($"the cluster's database ({cluster}) cannot be reached: {reason}", e)
            : new HostException($"the cluster's database ({cluster}) cannot be used: {reason}", e);
    }
}
