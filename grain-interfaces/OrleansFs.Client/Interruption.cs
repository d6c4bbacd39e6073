using Orleans.Runtime;
using OrleansFs.GrainInterfaces;

namespace OrleansFs.Client;

/// <summary>Tells a call that did not come through from one that went wrong.</summary>
internal static class Interruption
{
    /// <summary>The call, or its answer, was lost on the way or nobody was there: it may be made again (a change with the same <see cref="ChangeRequest"/>).</summary>
    public static bool Is(Exception e) => e is CopyAwayException or SiloUnavailableException or OrleansMessageRejectionException or Orleans.Runtime.Messaging.ConnectionFailedException or GatewayTooBusyException
        or TimeoutException or Microsoft.AspNetCore.Connections.ConnectionAbortedException or ClientNotAvailableException or ObjectDisposedException;
}
