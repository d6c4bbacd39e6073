using System.Net;
using Orleans.Messaging;
using OrleansFs.Client.Security;

namespace OrleansFs.Client;

/// <summary>
/// The gateways of a cluster, while a client makes its first connection only those that answer: a silo that is in the membership and cannot be reached from here would be tried as well as any other, and waited for.
/// </summary>
/// <remarks>Where none answers all are named. Later on Orleans knows by itself which of its connections work.</remarks>
internal sealed class ReachableGateways(IGatewayListProvider gateways, TimeProvider time) : IGatewayListProvider
{
    private volatile bool _isConnected;

    public TimeSpan MaxStaleness => gateways.MaxStaleness;

    [Obsolete("as Orleans has it")]
    public bool IsUpdatable => gateways.IsUpdatable;

    /// <summary>The first connection has been made.</summary>
    public void Connected() => _isConnected = true;

    public Task InitializeGatewayListProvider() => gateways.InitializeGatewayListProviderAsync(CancellationToken.None);

    public Task InitializeGatewayListProviderAsync(CancellationToken cancellationToken) => gateways.InitializeGatewayListProviderAsync(cancellationToken);

    public Task<IList<Uri>> GetGateways() => GetGatewaysAsync(CancellationToken.None);

    public async Task<IList<Uri>> GetGatewaysAsync(CancellationToken cancellationToken)
    {
        var all = await gateways.GetGatewaysAsync(cancellationToken);
        if (_isConnected || all.Count < 2)
            return all;
        bool[] answers = await Task.WhenAll(all.Select(g => AnswersAsync(g, cancellationToken)));
        var reachable = all.Where((_, i) => answers[i]).ToList();
        return reachable.Count == 0 ? all : reachable;
    }

    private Task<bool> AnswersAsync(Uri gateway, CancellationToken cancellation) =>
        IPAddress.TryParse(gateway.DnsSafeHost, out var address) ? SiloProbe.AnswersAsync(new IPEndPoint(address, gateway.Port), time, cancellation) : Task.FromResult(true);
}
