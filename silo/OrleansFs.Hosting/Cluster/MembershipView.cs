using Orleans;
using Orleans.Runtime;
using OrleansFs.Client.Security;

namespace OrleansFs.Hosting.Cluster;

/// <summary>
/// The membership as one silo sees it. Orleans takes two things for granted that do not hold between the machines that people own: that every silo reaches every other, and that their clocks agree.
/// </summary>
/// <remarks>
/// Invariants: 1. A silo that cannot be reached keeps no other from joining: until this one is active, an active one that does not answer is shown as one that is joining itself, and Orleans does not wait for those.
/// 2. No two clocks are compared: when a silo last showed that it lives is the time of this silo at which it saw the other's stamp change.
/// </remarks>
internal sealed class MembershipView(IMembershipTable table, ILocalSiloDetails self, TimeProvider time) : IMembershipTable
{
    private readonly Lock _lock = new();
    private readonly Dictionary<SiloAddress, (DateTime Stamp, DateTime Seen)> _signs = [];
    private volatile bool _hasJoined;

    public Task InitializeMembershipTable(bool tryInitTableVersion) => table.InitializeMembershipTableAsync(tryInitTableVersion, CancellationToken.None);

    public Task InitializeMembershipTableAsync(bool tryInitTableVersion, CancellationToken cancellationToken) => table.InitializeMembershipTableAsync(tryInitTableVersion, cancellationToken);

    public Task DeleteMembershipTableEntries(string clusterId) => table.DeleteMembershipTableEntriesAsync(clusterId, CancellationToken.None);

    public Task DeleteMembershipTableEntriesAsync(string clusterId, CancellationToken cancellationToken) => table.DeleteMembershipTableEntriesAsync(clusterId, cancellationToken);

    public Task CleanupDefunctSiloEntries(DateTimeOffset beforeDate) => table.CleanupDefunctSiloEntriesAsync(beforeDate, CancellationToken.None);

    public Task CleanupDefunctSiloEntriesAsync(DateTimeOffset beforeDate, CancellationToken cancellationToken) => table.CleanupDefunctSiloEntriesAsync(beforeDate, cancellationToken);

    public Task<MembershipTableData> ReadRow(SiloAddress key) => ReadRowAsync(key, CancellationToken.None);

    public async Task<MembershipTableData> ReadRowAsync(SiloAddress key, CancellationToken cancellationToken) => Translate(await table.ReadRowAsync(key, cancellationToken));

    public Task<MembershipTableData> ReadAll() => ReadAllAsync(CancellationToken.None);

    public async Task<MembershipTableData> ReadAllAsync(CancellationToken cancellationToken)
    {
        var data = Translate(await table.ReadAllAsync(cancellationToken));
        if (!_hasJoined)
            await Task.WhenAll(data.Members.Select(m => ExcuseAsync(m.Item1, cancellationToken)));
        return data;
    }

    public Task<bool> InsertRow(MembershipEntry entry, TableVersion tableVersion) => InsertRowAsync(entry, tableVersion, CancellationToken.None);

    public async Task<bool> InsertRowAsync(MembershipEntry entry, TableVersion tableVersion, CancellationToken cancellationToken) =>
        Note(entry, await table.InsertRowAsync(entry, tableVersion, cancellationToken));

    public Task<bool> UpdateRow(MembershipEntry entry, string etag, TableVersion tableVersion) => UpdateRowAsync(entry, etag, tableVersion, CancellationToken.None);

    public async Task<bool> UpdateRowAsync(MembershipEntry entry, string etag, TableVersion tableVersion, CancellationToken cancellationToken) =>
        Note(entry, await table.UpdateRowAsync(entry, etag, tableVersion, cancellationToken));

    public Task UpdateIAmAlive(MembershipEntry entry) => table.UpdateIAmAliveAsync(entry, CancellationToken.None);

    public Task UpdateIAmAliveAsync(MembershipEntry entry, CancellationToken cancellationToken) => table.UpdateIAmAliveAsync(entry, cancellationToken);

    private bool Note(MembershipEntry entry, bool written)
    {
        if (written && entry.Status == SiloStatus.Active && entry.SiloAddress.Equals(self.SiloAddress))
            _hasJoined = true;
        return written;
    }

    private async Task ExcuseAsync(MembershipEntry other, CancellationToken cancellation)
    {
        if (other.Status == SiloStatus.Active && !other.SiloAddress.Equals(self.SiloAddress) && !await SiloProbe.AnswersAsync(other.SiloAddress.Endpoint, time, cancellation))
            other.Status = SiloStatus.Joining;
    }

    private MembershipTableData Translate(MembershipTableData data)
    {
        var now = time.GetUtcNow().UtcDateTime;
        lock (_lock)
        {
            foreach (var (entry, _) in data.Members)
            {
                if (entry.SiloAddress.Equals(self.SiloAddress))
                    continue;
                if (!_signs.TryGetValue(entry.SiloAddress, out var sign) || sign.Stamp != entry.IAmAliveTime)
                    _signs[entry.SiloAddress] = sign = (entry.IAmAliveTime, now);
                entry.IAmAliveTime = sign.Seen;
            }
            foreach (var gone in _signs.Keys.Except(data.Members.Select(m => m.Item1.SiloAddress)).ToList())
                _signs.Remove(gone);
        }
        return data;
    }
}
