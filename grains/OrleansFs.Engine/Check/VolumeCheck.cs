using System.Runtime.ExceptionServices;
using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Engine.Metadata.Check;
using OrleansFs.Model;

namespace OrleansFs.Engine.Check;

/// <summary>What a check is to do.</summary>
public sealed record CheckOptions
{
    /// <summary>The data folder; nobody may have it open.</summary>
    public required string DataFolder { get; init; }

    /// <summary>Mend what can be mended. False changes nothing.</summary>
    public bool Repair { get; init; }

    /// <summary>Read every block and compute its SHA-256 anew.</summary>
    public bool VerifyData { get; init; }
}

/// <summary>How far a check has come.</summary>
/// <param name="Step">What it is doing, in a few words.</param>
/// <param name="Done">How much of it is done.</param>
/// <param name="Total">How much there is of it, where that is known.</param>
public readonly record struct CheckStep(string Step, long Done, long? Total);

/// <summary>One fault. The names are a contract: the JSON of <c>fsck --json</c> has them in camelCase.</summary>
/// <param name="Kind">What is wrong: a name of <c>MetadataFaultKind</c>, or blockMissing, blockCorrupt, blockUnreadable.</param>
/// <param name="Description">In words, with names and numbers.</param>
/// <param name="Repaired">It has been mended.</param>
/// <param name="Inode">The inode concerned, where there is one.</param>
/// <param name="Block">The block concerned, in hexadecimal, where there is one.</param>
/// <param name="Paths">Files that a lost block is part of, at most <see cref="VolumeCheck.MaxPaths"/>.</param>
public sealed record CheckFault(string Kind, string Description, bool Repaired, ulong? Inode, string? Block, IReadOnlyList<string> Paths);

/// <summary>What a check found.</summary>
/// <param name="Faults">Every fault, at most <see cref="VolumeCheck.MaxFaults"/>.</param>
/// <param name="FaultCount">How many there are in all.</param>
/// <param name="Repaired">How many of them have been mended.</param>
/// <param name="Blocks">Blocks looked at.</param>
/// <param name="VerifiedBytes">Bytes of content whose SHA-256 was computed anew.</param>
/// <param name="StrayFiles">Files in the block folders that no row speaks of, unfinished ones included. No fault: a repair or a collection deletes them.</param>
/// <param name="StrayBytes">Their length, bytes.</param>
public sealed record CheckReport(IReadOnlyList<CheckFault> Faults, long FaultCount, long Repaired, long Blocks, long VerifiedBytes, long StrayFiles, long StrayBytes)
{
    /// <summary>As fsck(8): 0 clean, 1 all faults mended, 4 faults are left.</summary>
    public int ExitCode => FaultCount == 0 ? 0 : Repaired == FaultCount ? 1 : 4;
}

/// <summary>
/// fsck: checks a volume at rest, metadata first, then every block against its file.
/// </summary>
/// <remarks>
/// A file in the block folders that no row speaks of is no fault: a kill between storing and settling leaves one, and the next collection takes it. A repair deletes them.
/// A corrupt block file is moved to <c>lost+blocks/</c>, so that storing the same content again, or a copy elsewhere, can take its place; the block's row stays. On a replica
/// it says from then on that the block is not here: the master hears of that at the next contact, counts it no more, and sends the block again.
/// </remarks>
public sealed class VolumeCheck
{
    /// <summary>Faults that a report lists; more are only counted.</summary>
    public const int MaxFaults = 10_000;

    /// <summary>Paths that are named for one lost block.</summary>
    public const int MaxPaths = 16;

    /// <summary>Faults for which the files concerned are looked up: each look-up reads all manifests.</summary>
    private const int MaxNamed = 100;

    private readonly CheckOptions _options;
    private readonly MetadataStore _metadata;
    private readonly BlockFiles _files;
    private readonly BlockPaths _paths;
    private readonly IProgress<CheckStep>? _progress;
    private readonly CancellationToken _cancellation;
    private readonly List<CheckFault> _faults = [];
    private readonly Lock _lock = new();
    private long _faultCount;
    private long _repaired;
    private long _blocks;
    private long _verified;
    private long _strayFiles;
    private long _strayBytes;
    private long _absent;

    private VolumeCheck(CheckOptions options, MetadataStore metadata, BlockFiles files, BlockPaths paths, IProgress<CheckStep>? progress,
        CancellationToken cancellation)
    {
        _options = options;
        _metadata = metadata;
        _files = files;
        _paths = paths;
        _progress = progress;
        _cancellation = cancellation;
    }

    /// <summary>Checks, and mends where that is asked for.</summary>
    /// <exception cref="VolumeException">The folder holds no volume, another process has it, or its format is newer.</exception>
    public static async Task<CheckReport> RunAsync(CheckOptions options, ILoggerFactory loggers, TimeProvider time, IProgress<CheckStep>? progress, CancellationToken cancellation)
    {
        using var folder = DataFolder.Open(options.DataFolder, create: false);
        try
        {
            using var metadata = MetadataStore.Open(folder.Metadata, null, time, loggers.CreateLogger<MetadataStore>());
            using var files = BlockFiles.Open(folder.Path, time, loggers.CreateLogger<BlockFiles>(), keepTemporaries: true);
            files.Composed = new Delta.ComposedBlocks(metadata, files, metadata.Volume.BlockSize);
            using var paths = new BlockPaths(folder.Metadata);
            var check = new VolumeCheck(options, metadata, files, paths, progress, cancellation);
            await Task.Run(check.Run, cancellation);
            return check.Report();
        }
        catch (Exception e) when (e is NewerFormatException or NotAVolumeException or MetadataException or BlockStoreException)
        {
            throw new VolumeException($"{options.DataFolder}: {e.Message}", e);
        }
    }

    private CheckReport Report() => new(_faults, _faultCount, _repaired, _blocks, _verified, _strayFiles, _strayBytes);

    private void Run()
    {
        var steps = _progress is null ? null : new SynchronousProgress<CheckProgress>(p => _progress.Report(new CheckStep(p.Step, p.Done, p.Total)));
        if (_options.Repair)
        {
            foreach (var (fault, repaired) in _metadata.Repair(steps, _cancellation))
                Add(fault, repaired);
        }
        else
        {
            foreach (var fault in _metadata.Check(steps, _cancellation))
                Add(fault, repaired: false);
        }
        CheckBlocks();
        CheckStrays();
    }

    private void CheckBlocks()
    {
        var counters = _metadata.Counters;
        long total = counters.Blocks + counters.DeadBlocks;
        string step = _options.VerifyData ? "verifying blocks" : "checking blocks";
        try
        {
            Parallel.ForEach(
                _metadata.EnumerateBlocks(),
                new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount, CancellationToken = _cancellation },
                row =>
                {
                    if (row.Residency != Residency.Absent)
                        CheckBlock(row);
                    long done = Interlocked.Increment(ref _blocks);
                    if (done % 256 == 0)
                        _progress?.Report(new CheckStep(step, done, total));
                });
        }
        catch (AggregateException e) when (e.InnerException is MetadataException or BlockStoreException)
        {
            ExceptionDispatchInfo.Throw(e.InnerException);
        }
        if (_absent > 0)
            Commit();
        _progress?.Report(new CheckStep(step, _blocks, total));
    }

    private void CheckBlock(BlockRow row)
    {
        var read = _options.VerifyData ? _files.Verify(row.Hash) : _files.Inspect(row.Hash);
        if (_options.VerifyData && read.IsOk)
            Interlocked.Add(ref _verified, read.Length);
        if (read.IsOk && read.Length == row.Length)
            return;
        // A dead block whose file is gone: the next collection takes the row, or the next writer stores the block anew.
        if (row.References == 0 && read.Status == BlockReadStatus.Missing)
            return;
        bool corrupt = read.Status is BlockReadStatus.Corrupt or BlockReadStatus.Ok;
        string reason = read.IsOk ? $"it is {read.Length} bytes long, not {row.Length}" : read.Reason ?? read.Status.ToString();
        string? moved = _options.Repair && corrupt ? _files.Quarantine(row.Hash) : null;
        string kind = read.Status switch
        {
            BlockReadStatus.Missing => "blockMissing",
            BlockReadStatus.Unreadable => "blockUnreadable",
            _ => "blockCorrupt",
        };
        bool isTold = _options.Repair && _metadata.Volume.Role == VolumeRole.Replica && row.References > 0 && (corrupt || read.Status == BlockReadStatus.Missing) && MarkAbsent(row.Hash);
        string description = $"block {row.Hash}: {reason}{(moved is null ? "" : $"; moved to {moved}")}{(isTold ? "; its master is told, and sends it again" : "")}";
        // Out of the way is all that a block needs that no file is made of.
        Add(new CheckFault(kind, description, Repaired: isTold || moved is not null && row.References == 0, null, row.Hash.ToString(), PathsOf(row)));
    }

    /// <summary>On a replica: the row says that the block is not here, which is what its master goes by when it counts copies.</summary>
    private bool MarkAbsent(BlockHash hash)
    {
        // What is made of it cannot be read either, and would keep it from being absent.
        foreach (var made in _metadata.MadeOf(hash, int.MaxValue))
            _metadata.SetResidency(made, Residency.Absent);
        _metadata.SetResidency(hash, Residency.Absent);
        if (Interlocked.Increment(ref _absent) % Limits.CollectBatch == 0)
            Commit();
        return _metadata.TryGetBlock(hash, out var row) && row.Residency == Residency.Absent;
    }

    private void Commit()
    {
        if (_metadata.Commit() is { IsOk: false, Error: var error })
            throw new MetadataException(error, 0, $"what the check has found cannot be written down: {error}");
    }

    private IReadOnlyList<string> PathsOf(BlockRow row)
    {
        lock (_lock)
            return row.References == 0 || _faults.Count >= MaxNamed ? [] : _paths.Of(row.Hash, MaxPaths);
    }

    /// <summary>Counts files in the block folders that no row speaks of, and deletes them in a repair. What is not of this program's making, a name that is no hash, is left alone.</summary>
    private void CheckStrays()
    {
        long seen = 0;
        foreach (var entry in _files.Enumerate())
        {
            _cancellation.ThrowIfCancellationRequested();
            if (++seen % 4096 == 0)
                _progress?.Report(new CheckStep("looking for stray files", seen, null));
            bool stray = entry.Kind == BlockEntryKind.Temporary || entry.Hash is { } hash && !_metadata.TryGetBlock(hash, out _);
            if (!stray)
                continue;
            _strayFiles++;
            _strayBytes += entry.FileBytes;
            if (!_options.Repair)
                continue;
            if (entry.Hash is { } block)
                _files.Delete(block);
            else
                _files.DeleteStray(entry);
        }
    }

    private void Add(MetadataFault fault, bool repaired) =>
        Add(new CheckFault(
            char.ToLowerInvariant(fault.Kind.ToString()[0]) + fault.Kind.ToString()[1..], fault.Description, repaired, fault.Inode?.Value, fault.Block?.ToString(), []));

    private void Add(CheckFault fault)
    {
        lock (_lock)
        {
            _faultCount++;
            _repaired += fault.Repaired ? 1 : 0;
            if (_faults.Count < MaxFaults)
                _faults.Add(fault);
        }
    }

    /// <summary>Reports on the thread that makes progress, in order; <see cref="Progress{T}"/> would not.</summary>
    private sealed class SynchronousProgress<T>(Action<T> report) : IProgress<T>
    {
        public void Report(T value) => report(value);
    }
}
