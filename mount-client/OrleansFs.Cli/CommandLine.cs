using System.CommandLine;
using System.CommandLine.Parsing;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging;
using OrleansFs.Cli.Commands;
using OrleansFs.Cli.Control;
using OrleansFs.Fuse;
using OrleansFs.Hosting;
using OrleansFs.Hosting.Command;
using OrleansFs.Model;

namespace OrleansFs.Cli;

/// <summary>
/// The commands, their options and their help. Names are fixed: scripts rely on them. Nothing of Orleans or SQLite is touched here, so that help is quick.
/// </summary>
internal static class CommandLine
{
    public const string CheckName = "fsck";

    private const string MountName = "mount";

    private const string SiloName = "silo";

    private const string DataName = "--data";

    private const string SqlitePrefix = "sqlite:";

    private const string WhereHelp = "a mount of the volume, or the cluster: sqlite:FILE or a PostgreSQL connection string";

    private const string DataHelp = "the folder that holds the volume's data";

    public static RootCommand Build() => new("OrleansFs: a deduplicating, content-addressed network filesystem")
    {
        Mount(), Unmount(), Status(), Hash(), Check(), Collect(), Silo(), Replicas(), Drain(), Verify(),
        Residency("pin", ResidencyAction.Pin, "Keep the blocks that files have now on the master's disk, fetching those that are not there. For a file's owner and root."),
        Residency("unpin", ResidencyAction.Unpin, "Keep them no longer than others. For a file's owner and root."),
        Residency("warm", ResidencyAction.Warm, "Fetch the blocks of files that are not on the disk. For whoever may read them."),
        Residency("evict", ResidencyAction.Evict, "Give up the blocks of files on the master's disk that enough replicas have. For a file's owner and root."),
        Why(), Promote(), Export(), UnmountHelper(),
    };

    private static Command Mount()
    {
        var data = new Option<string?>(DataName) { Description = "the folder for the volume's data; made, with a new volume, where it is missing or empty", HelpName = "DIR" };
        var name = new Option<string?>("--name") { Description = "with --data: the name of this copy in the cluster; without it, the one it has, or master", HelpName = "NAME" };
        var network = new SiloNetworkOptions();
        var replication = new ReplicationOptions();
        var copy = new Option<string?>("--copy") { Description = "without --data: the copy to mount, by its name; without it, the master's", HelpName = "NAME" };
        var mountPoint = new Argument<string>("MOUNTPOINT") { Description = "an existing directory" };
        var blockSize = BlockSize("S of a new volume: a power of two from 4KiB to 4MiB");
        var memory = Size("--memory", "how much written data may wait in memory to be hashed and stored; past it writers wait", 256L << 20);
        var readOnly = new Option<bool>("--read-only") { Description = "no change through this mount" };
        var allowOther = new Option<bool>("--allow-other") { Description = "let other users in, as every mount of root does; they are checked by mode, owner and ACL" };
        var ioUring = new Option<IoUringMode>("--io-uring")
        {
            Description = "how requests travel: auto uses io_uring where the kernel has it on, on turns it on (as root), off uses /dev/fuse",
            HelpName = "auto|on|off",
            CustomParser = ParseIoUring,
            DefaultValueFactory = _ => IoUringMode.Auto,
        };
        var accessTimes = new Option<AccessTimes>("--atime")
        {
            Description = "when reads bring up access times: as mount(8) says of relatime, strictatime and noatime",
            HelpName = "relatime|strictatime|noatime",
            CustomParser = ParseAccessTimes,
            DefaultValueFactory = _ => AccessTimes.Relative,
        };
        var listXattrs = new Option<bool>("--list-xattrs") { Description = "list the extended attributes user.orleansfs.* too, which are answered by name anyway" };
        var noHashFolder = new Option<bool>("--no-hash-folder") { Description = "without the folder .orleansfs at the root, through which content is read by its hash" };
        var background = new Option<bool>("--background") { Description = "return when the mount is usable, and leave it running" };
        var log = new Option<string?>("--log-file") { Description = "write the log there instead of to standard error", HelpName = "FILE" };
        var verbose = new Option<bool>("--verbose", "-v") { Description = "log more" };
        var ready = new Option<string?>(BackgroundStart.ReadyOption) { Hidden = true };
        var command = new Command(MountName, "Mount a volume until it is unmounted or a signal comes: one in a folder (--data), which this process serves, or one that a silo serves (--cluster alone).")
        {
            data, mountPoint, blockSize, memory, readOnly, allowOther, ioUring, background, log, verbose, ready, name, copy, listXattrs, noHashFolder, accessTimes,
        };
        network.AddTo(command);
        replication.AddTo(command);
        command.Validators.Add(result =>
        {
            bool isServedHere = result.GetResult(data) is not null, hasCluster = result.GetResult(network.Cluster) is not null;
            if (!isServedHere && !hasCluster)
                result.AddError("name a folder with --data, or a cluster with --cluster");
            Option[] shared = [network.Advertise, network.SiloPort, network.GatewayPort, .. replication.All];
            if (isServedHere)
                Misplaced([copy], "is for a copy that a silo serves: not with --data");
            else
                Misplaced([name, .. shared, replication.VerifyEvery, replication.Compose], "is for a copy that this process serves: only with --data");
            if (isServedHere && !hasCluster)
                Misplaced(shared, "is for a copy that others can reach: only with --cluster");

            void Misplaced(Option[] options, string why)
            {
                if (options.FirstOrDefault(o => result.GetResult(o) is { Implicit: false }) is { } misplaced)
                    result.AddError($"{misplaced.Name} {why}");
            }
        });
        command.SetAction((parsed, _) => MountCommand.RunAsync(new MountRequest
        {
            DataFolder = parsed.GetValue(data) is { } folder ? Path.GetFullPath(folder) : null,
            Name = parsed.GetValue(name),
            Network = AbsoluteCluster(network.Read(parsed)),
            Replication = replication.Read(parsed),
            Copy = parsed.GetValue(copy),
            MountPoint = MountPath.Resolve(parsed.GetRequiredValue(mountPoint)),
            BlockSize = parsed.GetValue(blockSize),
            Memory = parsed.GetValue(memory),
            ReadOnly = parsed.GetValue(readOnly),
            // As with any file system that root mounts: modes, owners and ACLs say who may do what, and the kernel enforces them.
            AllowOther = parsed.GetValue(allowOther) || Environment.IsPrivilegedProcess,
            IoUring = parsed.GetValue(ioUring),
            AccessTimes = parsed.GetValue(accessTimes),
            ListXattrs = parsed.GetValue(listXattrs),
            NoHashFolder = parsed.GetValue(noHashFolder),
            Background = parsed.GetValue(background),
            LogFile = parsed.GetValue(log) is { } file ? Path.GetFullPath(file) : null,
            Verbose = parsed.GetValue(verbose),
            ReadyHandle = parsed.GetValue(ready),
        }));
        return command;
    }

    /// <summary>A background process works in another folder.</summary>
    private static SiloNetwork AbsoluteCluster(SiloNetwork network) =>
        network.Cluster is { } text && text.StartsWith(SqlitePrefix, StringComparison.OrdinalIgnoreCase) && text.Length > SqlitePrefix.Length
            ? network with { Cluster = SqlitePrefix + Path.GetFullPath(text[SqlitePrefix.Length..]) }
            : network;

    private static Command Silo() => SiloCommand.Build(
        new Command(SiloName, "Serve one copy of a volume, without a mount, until a signal comes."),
        "orleansfs silo",
        verbose => LoggerFactory.Create(logging => HostLogging.Configure(logging, verbose).Services.AddSingleton<ILoggerProvider>(_ => new LineLog(null, TimeProvider.System))));

    private static Command Unmount()
    {
        var mountPoint = new Argument<string>("MOUNTPOINT") { Description = "where the volume is mounted" };
        var command = new Command("umount", "Unmount; returns when everything is committed.") { mountPoint };
        command.SetAction((parsed, _) => UnmountCommand.RunAsync(parsed.GetRequiredValue(mountPoint)));
        return command;
    }

    /// <summary>For umount(8), through <c>umount.fuse.orleansfs</c>. Not for people.</summary>
    private static Command UnmountHelper()
    {
        var words = new Argument<string[]>("MOUNTPOINT") { Description = "where it is mounted, and the options that umount(8) gives to a helper", Arity = ArgumentArity.OneOrMore };
        var command = new Command("umount-helper", "What umount(8) does, and then wait for the commit.") { words };
        command.Hidden = true;
        command.SetAction((parsed, _) => UnmountHelperCommand.RunAsync(parsed.GetRequiredValue(words)));
        return command;
    }

    private static Command Status()
    {
        var (mountPoint, data) = Where();
        var json = new Option<bool>("--json") { Description = "one JSON object; its fields are in the README" };
        var watch = new Option<bool>("--watch") { Description = "show it again every second" };
        var command = new Command("status", "Show what a volume holds and what its process does.") { mountPoint, data, json, watch };
        RequireOne(command, mountPoint, data);
        command.SetAction((parsed, _) => StatusCommand.RunAsync(parsed.GetValue(mountPoint), parsed.GetValue(data), parsed.GetValue(json), parsed.GetValue(watch)));
        return command;
    }

    private static Command Hash()
    {
        var files = new Argument<string[]>("FILE") { Description = "any local files; - is standard input", Arity = ArgumentArity.OneOrMore };
        var blockSize = BlockSize("S of the volume to compare with");
        var command = new Command("hash", "Compute the content hash that a volume would give to files, in the form of sha256sum(1).") { files, blockSize };
        command.SetAction((parsed, _) => HashCommand.RunAsync(parsed.GetRequiredValue(files), parsed.GetValue(blockSize)));
        return command;
    }

    private static Command Check()
    {
        var data = new Option<string>("--data") { Description = DataHelp, Required = true, HelpName = "DIR" };
        var repair = new Option<bool>("--repair") { Description = "mend what can be mended" };
        var verify = new Option<bool>("--verify-data") { Description = "read every block and compare it with its SHA-256" };
        var json = new Option<bool>("--json") { Description = "one JSON object; its fields are in the README" };
        var command = new Command(CheckName, "Check a volume that is not mounted. Exit codes as fsck(8).") { data, repair, verify, json };
        command.SetAction((parsed, _) => CheckCommand.RunAsync(
            Path.GetFullPath(parsed.GetRequiredValue(data)), parsed.GetValue(repair), parsed.GetValue(verify), parsed.GetValue(json)));
        return command;
    }

    private static Command Collect()
    {
        var (mountPoint, data) = Where();
        var dryRun = new Option<bool>("--dry-run") { Description = "delete nothing, only count" };
        var command = new Command("gc", "Delete blocks that nothing refers to any more, without waiting for their grace period.") { mountPoint, data, dryRun };
        RequireOne(command, mountPoint, data);
        command.SetAction((parsed, _) => CollectCommand.RunAsync(parsed.GetValue(mountPoint), parsed.GetValue(data), parsed.GetValue(dryRun)));
        return command;
    }

    private static Command Replicas()
    {
        var where = new Argument<string>("WHERE") { Description = WhereHelp, HelpName = "CONN|MOUNTPOINT" };
        var copy = CopyOfVolume();
        var json = new Option<bool>("--json") { Description = "one JSON object; its fields are in the README" };
        var command = new Command("replicas", "Show how each replica of a volume stands: what it lacks, what it holds, when it was last heard of.") { where, copy, json };
        command.SetAction((parsed, _) => ReplicasCommand.RunAsync(parsed.GetRequiredValue(where), parsed.GetValue(copy), parsed.GetValue(json)));
        return command;
    }

    private static Command Drain()
    {
        var where = new Argument<string>("WHERE") { Description = WhereHelp, HelpName = "MOUNTPOINT|CONN" };
        var copy = CopyOfVolume();
        var copies = new Option<int>("--copies") { Description = "replicas that are to have everything", HelpName = "N", DefaultValueFactory = _ => 1 };
        var wait = new Option<string>("--wait") { Description = "how long to wait for replicas that are not there", HelpName = "TIME", DefaultValueFactory = _ => "5s" };
        var command = new Command("drain", "Wait until everything, what is in flight too, is on the disks of so many replicas. Exit code 0: safe to unplug.") { where, copies, wait, copy };
        command.SetAction((parsed, _) => DrainCommand.RunAsync(parsed.GetRequiredValue(where), parsed.GetValue(copy), parsed.GetValue(copies), parsed.GetRequiredValue(wait)));
        return command;
    }

    private static Command Verify()
    {
        var where = new Argument<string>("WHERE") { Description = WhereHelp, HelpName = "MOUNTPOINT|CONN" };
        var copy = new Option<string?>("--copy") { Description = "only this copy; without it, the master and every replica that is there", HelpName = "NAME" };
        var wait = new Option<bool>("--wait") { Description = "return when all blocks are verified: exit code 0 where none is damaged, or all that were have been had from another copy" };
        var stop = new Option<bool>("--stop") { Description = "end what is under way instead" };
        var command = new Command("verify", "Read all block files now and compare them with their SHA-256, in the background; what is damaged is had from another copy. 'replicas' and 'status' show how it goes.") { where, copy, wait, stop };
        command.Validators.Add(result =>
        {
            if (result.GetValue(wait) && result.GetValue(stop))
                result.AddError("--wait and --stop do not go together");
        });
        command.SetAction((parsed, _) => VerifyCommand.RunAsync(parsed.GetRequiredValue(where), parsed.GetValue(copy), parsed.GetValue(wait), parsed.GetValue(stop)));
        return command;
    }

    private static Command Residency(string name, ResidencyAction action, string description)
    {
        var paths = new Argument<string[]>("PATH") { Description = "files, and directories with all below them, on any mount of the volume", Arity = ArgumentArity.OneOrMore };
        var command = new Command(name, description) { paths };
        command.SetAction((parsed, _) => ResidencyCommand.RunAsync(action, parsed.GetRequiredValue(paths)));
        return command;
    }

    private static Command Why()
    {
        var path = new Argument<string>("PATH") { Description = "a file on any mount of the volume" };
        var json = new Option<bool>("--json") { Description = "one JSON object; its fields are in the README" };
        var command = new Command("why", "Show where the blocks of a file are, which replicas have them, what it shares, and what deleting it would free.") { path, json };
        command.SetAction((parsed, _) => WhyCommand.RunAsync(parsed.GetRequiredValue(path), parsed.GetValue(json)));
        return command;
    }

    private static Command Promote()
    {
        var name = new Argument<string>("NAME") { Description = "the replica" };
        var cluster = new Option<string>("--cluster") { Description = "the cluster: sqlite:FILE or a PostgreSQL connection string", HelpName = "CONN", Required = true };
        var force = new Option<bool>("--force") { Description = "also where another replica has more that cannot be had from it, which is given up then" };
        var command = new Command("promote", "Make a replica the master, with what all replicas have that can be reached. They follow it; the master before it is read-only from then on.") { name, cluster, force };
        command.SetAction((parsed, _) => PromoteCommand.RunAsync(parsed.GetRequiredValue(name), parsed.GetRequiredValue(cluster), parsed.GetValue(force)));
        return command;
    }

    private static Command Export()
    {
        var data = new Option<string>("--data") { Description = DataHelp, Required = true, HelpName = "DIR" };
        var target = new Argument<string>("TARGET") { Description = "a folder to make, or an empty one" };
        var all = new Option<bool>("--all") { Description = "everything, and not only what was never replicated" };
        var command = new Command("export", "Copy what a former master has and never replicated out of its folder, which must not be mounted.") { data, target, all };
        command.SetAction((parsed, _) => ExportCommand.RunAsync(Path.GetFullPath(parsed.GetRequiredValue(data)), Path.GetFullPath(parsed.GetRequiredValue(target)), parsed.GetValue(all)));
        return command;
    }

    private static Option<string?> CopyOfVolume() => new("--copy") { Description = "where CONN has several volumes: a copy of the one that is meant", HelpName = "NAME" };

    private static (Argument<string?> MountPoint, Option<string?> Data) Where() =>
        (new Argument<string?>("MOUNTPOINT") { Description = "where the volume is mounted", Arity = ArgumentArity.ZeroOrOne },
            new Option<string?>("--data") { Description = DataHelp, HelpName = "DIR" });

    private static void RequireOne(Command command, Argument<string?> mountPoint, Option<string?> data) => command.Validators.Add(result =>
    {
        if (result.GetValue(mountPoint) is null == result.GetValue(data) is null)
            result.AddError("name a MOUNTPOINT or a folder with --data, one of the two");
    });

    private static Option<long> BlockSize(string description)
    {
        var option = Size("--block-size", description, 128 << 10);
        option.Validators.Add(result =>
        {
            // A size that is none has its message already, and no value.
            if (result.Tokens is [var token] && ByteSize.TryParse(token.Value, out long size, out _) && !(long.IsPow2(size) && size is >= Limits.MinBlockSize and <= Limits.MaxBlockSize))
                result.AddError($"a block size of '{token.Value}' cannot be used: a power of two from 4KiB to 4MiB is needed");
        });
        return option;
    }

    private static Option<long> Size(string name, string description, long standard) => new(name)
    {
        Description = description,
        HelpName = "SIZE",
        CustomParser = ParseSize,
        DefaultValueFactory = _ => standard,
    };

    private static IoUringMode ParseIoUring(ArgumentResult result)
    {
        string word = result.Tokens.Single().Value;
        switch (word)
        {
            case "auto":
                return IoUringMode.Auto;
            case "on":
                return IoUringMode.On;
            case "off":
                return IoUringMode.Off;
            default:
                result.AddError($"'{word}' is none of auto, on and off");
                return IoUringMode.Auto;
        }
    }

    private static AccessTimes ParseAccessTimes(ArgumentResult result)
    {
        string word = result.Tokens.Single().Value;
        if (AccessTimesOption.TryParse(word, out var rule))
            return rule;
        result.AddError($"'{word}' is none of relatime, strictatime and noatime");
        return AccessTimes.Relative;
    }

    private static long ParseSize(ArgumentResult result)
    {
        if (!ByteSize.TryParse(result.Tokens.Single().Value, out long bytes, out string? error))
            result.AddError(error);
        return bytes;
    }
}
