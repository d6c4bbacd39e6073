using System.CommandLine;
using OrleansFs.Engine;

namespace OrleansFs.Hosting.Command;

/// <summary>What a command line says of a master's cache and of how many copies it wants, not yet looked at.</summary>
public sealed record ReplicationArguments(string? CacheSize, int Copies, int SyncCopies)
{
    /// <exception cref="HostException">One line that says what is wrong with which argument.</exception>
    public VolumeOptions ApplyTo(VolumeOptions options)
    {
        if (Copies < 1)
            throw new HostException($"--copies {Copies}: one replica at least has to have what is given up here");
        if (SyncCopies < 0)
            throw new HostException($"--sync-copies {SyncCopies}: a number of replicas, or 0");
        if (CacheSize is null)
            return options with { Copies = Copies, SyncCopies = SyncCopies };
        if (!ByteSize.TryParse(CacheSize, out long bytes))
            throw new HostException($"--cache-size {CacheSize}: a size is a number of bytes, or one with KiB, MiB, GiB or TiB");
        return options with { CacheSize = bytes, Copies = Copies, SyncCopies = SyncCopies };
    }
}

/// <summary>The options of a command line that say how a master uses its replicas.</summary>
public sealed class ReplicationOptions
{
    private readonly Option<string?> _cacheSize = new("--cache-size") { Description = "most that blocks may take on this machine's disk; what replicas have is given up for it, and fetched again", HelpName = "SIZE" };
    private readonly Option<int> _copies = new("--copies") { Description = "replicas that must have a block before it is given up here", HelpName = "N", DefaultValueFactory = _ => 1 };
    private readonly Option<int> _syncCopies = new("--sync-copies") { Description = "replicas that an fsync waits for", HelpName = "N", DefaultValueFactory = _ => 0 };

    public void AddTo(System.CommandLine.Command command)
    {
        command.Options.Add(_cacheSize);
        command.Options.Add(_copies);
        command.Options.Add(_syncCopies);
    }

    public ReplicationArguments Read(ParseResult parsed) => new(parsed.GetValue(_cacheSize), parsed.GetValue(_copies), parsed.GetValue(_syncCopies));
}
