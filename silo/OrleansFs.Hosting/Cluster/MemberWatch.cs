using Microsoft.Extensions.Logging;
using Orleans;
using Orleans.Runtime;
using OrleansFs.Client.Security;

namespace OrleansFs.Hosting.Cluster;

/// <summary>
/// What a silo does every few seconds for its place in the cluster: it shows that it lives, looks whether anything has changed, and strikes those that are gone.
/// </summary>
/// <remarks>
/// <para>Orleans would have silos vote on each other by what they can reach. Of two silos between which a cable is cut each then declares the other dead, and both stop although nothing is wrong with either; and what is
/// dead for one is dead for all, also for those who reach it. So (1) nobody is struck who still shows itself in the database, or who answers; (2) a silence is measured by this silo's own clock, and only over a time in which it could
/// read the database itself.</para>
/// <para>A silo that was struck all the same, being cut off from both, finds that out when it is back, and joins anew (<see cref="OrleansFsHost"/>).</para>
/// </remarks>
internal sealed partial class MemberWatch(IMembershipTable table, IClusterMembershipService membership, ILocalSiloDetails self, TimeProvider time, ILogger logger)
{
    private readonly Dictionary<SiloAddress, (DateTime Stamp, long Since)> _signs = [];
    private long? _lastLook;

    /// <summary>Why the database cannot be reached, in one line; null while it can.</summary>
    public string? Trouble { get; private set; }

    /// <param name="tick">Done besides with each look, while the database answers.</param>
    /// <param name="cancellation">Ends it.</param>
    public async Task RunAsync(Func<CancellationToken, Task> tick, CancellationToken cancellation)
    {
        using var timer = new PeriodicTimer(Limits.MemberTick, time);
        while (await timer.WaitForNextTickAsync(cancellation))
        {
            try
            {
                await LookAsync(cancellation);
                await tick(cancellation);
                if (Trouble is not null)
                    LogBack();
                Trouble = null;
            }
            catch (Exception e) when (e is not OperationCanceledException || !cancellation.IsCancellationRequested)
            {
                string reason = e.GetBaseException().Message.ReplaceLineEndings(" ");
                if (Trouble is null)
                    LogAway(reason);
                Trouble = reason;
            }
        }
    }

    private async Task LookAsync(CancellationToken cancellation)
    {
        await table.UpdateIAmAliveAsync(new MembershipEntry { SiloAddress = self.SiloAddress, IAmAliveTime = time.GetUtcNow().UtcDateTime }, cancellation);
        var data = await table.ReadAllAsync(cancellation);
        if (data.Version.Version > membership.CurrentSnapshot.Version.Value)
            await membership.Refresh(new MembershipVersion(data.Version.Version), cancellation);
        long now = time.GetTimestamp();
        // Nothing was seen while the database was away: whoever had no sign in it begins anew.
        if (_lastLook is { } last && time.GetElapsedTime(last, now) > Limits.SilenceBroken)
            _signs.Clear();
        _lastLook = now;
        foreach (var (entry, _) in data.Members)
        {
            if (entry.Status != SiloStatus.Dead && !entry.SiloAddress.Equals(self.SiloAddress) && IsSilent(entry, now) && !await SiloProbe.AnswersAsync(entry.SiloAddress.Endpoint, time, cancellation))
            {
                LogStruck(entry.SiloAddress, entry.SiloName);
                await membership.TryKill(entry.SiloAddress).WaitAsync(Limits.StrikeTimeout, time, cancellation);
            }
        }
    }

    private bool IsSilent(MembershipEntry entry, long now)
    {
        if (!_signs.TryGetValue(entry.SiloAddress, out var sign) || sign.Stamp != entry.IAmAliveTime)
            _signs[entry.SiloAddress] = sign = (entry.IAmAliveTime, now);
        return time.GetElapsedTime(sign.Since, now) > Limits.SilentFor;
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "the cluster's database cannot be reached: {reason}; what is served here is served all the same, and others cannot find it")]
    private partial void LogAway(string reason);

    [LoggerMessage(Level = LogLevel.Information, Message = "the cluster's database answers again")]
    private partial void LogBack();

    [LoggerMessage(Level = LogLevel.Information, Message = "silo {silo} ({name}) shows no sign of life and does not answer: it is struck from the membership")]
    private partial void LogStruck(SiloAddress silo, string name);
}
