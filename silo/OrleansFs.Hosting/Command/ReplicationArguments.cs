using System.CommandLine;
using System.Globalization;
using OrleansFs.Engine;
using OrleansFs.Engine.Delta;

namespace OrleansFs.Hosting.Command;

/// <summary>What a command line says of a master's cache, of how many copies it wants and of how often they are verified, not yet looked at.</summary>
public sealed record ReplicationArguments(string? CacheSize, int Copies, int SyncCopies, string? FetchTimeout, string? CacheWait = null, string? VerifyEvery = null, DeltaMode Delta = DeltaMode.Auto, string? SyncWait = null,
    ComposeMode Compose = ComposeMode.Off)
{
    private const string Never = "never";

    /// <summary>Nothing was said.</summary>
    public static ReplicationArguments Default { get; } = new(null, 1, 0, null);

    /// <exception cref="HostException">One line that says what is wrong with which argument.</exception>
    public VolumeOptions ApplyTo(VolumeOptions options)
    {
        if (Copies < 1)
            throw new HostException($"--copies {Copies}: one replica at least has to have what is given up here");
        if (SyncCopies < 0)
            throw new HostException($"--sync-copies {SyncCopies}: a number of replicas, or 0");
        options = options with { Copies = Copies, SyncCopies = SyncCopies, Delta = Delta, Compose = Compose == ComposeMode.Auto };
        if (CacheSize is not null)
        {
            if (!ByteSize.TryParse(CacheSize, out long bytes))
                throw new HostException($"--cache-size {CacheSize}: a size is a number of bytes, or one with KiB, MiB, GiB or TiB");
            options = options with { CacheSize = bytes };
        }
        if (FetchTimeout is not null)
        {
            if (!Duration.TryParse(FetchTimeout, out var patience) || patience == TimeSpan.Zero)
                throw new HostException($"--fetch-timeout {FetchTimeout}: a time is a number of seconds, or one with ms, s, min or h");
            options = options with { FetchTimeout = patience };
        }
        if (CacheWait is not null)
            options = options with { CacheFullTimeout = Duration.TryParse(CacheWait, out var wait) ? wait : throw new HostException($"--cache-wait {CacheWait}: a time is a number of seconds, or one with ms, s, min or h") };
        if (SyncWait is not null)
            options = options with { SyncTimeout = Duration.TryParse(SyncWait, out var wait) ? wait : throw new HostException($"--sync-wait {SyncWait}: a time is a number of seconds, or one with ms, s, min or h") };
        if (VerifyEvery is not null)
            options = options with { VerifyEvery = ParseVerifyEvery(VerifyEvery) };
        return options;
    }

    private static TimeSpan? ParseVerifyEvery(string text)
    {
        if (text == Never)
            return null;
        return Duration.TryParse(text, TimeSpan.FromDays(Limits.MaxVerifyDays), out var every) && every >= Limits.MinVerifyEvery
            ? every
            : throw new HostException($"--verify-every {text}: a time from an hour to a year, like 12h or 14d, or {Never}");
    }

    /// <summary>The same on a command line.</summary>
    public IEnumerable<string> ToCommandLine()
    {
        if (CacheSize is not null)
            yield return $"--cache-size={CacheSize}";
        if (Copies != Default.Copies)
            yield return $"--copies={Copies.ToString(CultureInfo.InvariantCulture)}";
        if (SyncCopies != Default.SyncCopies)
            yield return $"--sync-copies={SyncCopies.ToString(CultureInfo.InvariantCulture)}";
        if (FetchTimeout is not null)
            yield return $"--fetch-timeout={FetchTimeout}";
        if (Delta != Default.Delta)
            yield return $"--delta={Delta.ToString().ToLowerInvariant()}";
        if (CacheWait is not null)
            yield return $"--cache-wait={CacheWait}";
        if (SyncWait is not null)
            yield return $"--sync-wait={SyncWait}";
        if (VerifyEvery is not null)
            yield return $"--verify-every={VerifyEvery}";
        if (Compose != Default.Compose)
            yield return $"--compose={Compose.ToString().ToLowerInvariant()}";
    }
}

/// <summary>Whether new blocks are kept as pieces of others.</summary>
public enum ComposeMode
{
    Off,
    Auto,
}

/// <summary>The options of a command line that say how a master uses its replicas.</summary>
public sealed class ReplicationOptions
{
    private readonly Option<string?> _cacheSize = new("--cache-size") { Description = "most that blocks may take on this machine's disk; what replicas have is given up for it, and fetched again", HelpName = "SIZE" };
    private readonly Option<int> _copies = new("--copies") { Description = "replicas that must have a block before it is given up here", HelpName = "N", DefaultValueFactory = _ => ReplicationArguments.Default.Copies };
    private readonly Option<int> _syncCopies = new("--sync-copies") { Description = "replicas that an fsync waits for", HelpName = "N", DefaultValueFactory = _ => ReplicationArguments.Default.SyncCopies };
    private readonly Option<string?> _syncWait = new("--sync-wait") { Description = "how long an fsync waits for them, before ETIMEDOUT; 30s where it is not said", HelpName = "TIME" };
    private readonly Option<string?> _fetchTimeout = new("--fetch-timeout") { Description = "how long a reader waits for a block that no replica can give, before EIO; 30s where it is not said", HelpName = "TIME" };
    private readonly Option<string?> _cacheWait = new("--cache-wait") { Description = "how long a writer waits in a cache full of what replicas have not got, before ENOSPC; 30s where it is not said", HelpName = "TIME" };

    private readonly Option<DeltaMode> _delta = new("--delta")
    {
        Description = "whether a replica that has most of a block's content is sent the difference: off, auto (where it can pay) or always",
        HelpName = "MODE",
        DefaultValueFactory = _ => DeltaMode.Auto,
    };

    /// <summary>Those that are about other copies.</summary>
    public IReadOnlyList<Option> All => [_cacheSize, _copies, _syncCopies, _syncWait, _fetchTimeout, _cacheWait, _delta];

    /// <summary>For every copy, also one that is alone.</summary>
    public Option<string?> VerifyEvery { get; } = new("--verify-every") { Description = "how often all block files are read and compared with their SHA-256, in the background; 14d where it is not said; never", HelpName = "TIME" };

    /// <summary>For every master, also one that is alone.</summary>
    public Option<ComposeMode> Compose { get; } = new("--compose")
    {
        Description = "whether new blocks are kept as pieces of others where that saves at least half: off or auto",
        HelpName = "MODE",
        DefaultValueFactory = _ => ComposeMode.Off,
    };

    public void AddTo(System.CommandLine.Command command)
    {
        foreach (var option in All.Append(VerifyEvery).Append(Compose))
            command.Options.Add(option);
    }

    public ReplicationArguments Read(ParseResult parsed) => new(parsed.GetValue(_cacheSize), parsed.GetValue(_copies), parsed.GetValue(_syncCopies), parsed.GetValue(_fetchTimeout), parsed.GetValue(_cacheWait), parsed.GetValue(VerifyEvery), parsed.GetValue(_delta), parsed.GetValue(_syncWait),
        parsed.GetValue(Compose));
}
