namespace OrleansFs.Fault.Tests.Work;

/// <summary>A kind of program: what it does on the volume, and what of it must be found after it was cut short.</summary>
internal interface IWork
{
    /// <summary>Works until told to stop.</summary>
    /// <exception cref="WorkEndedException">The file system does not serve any more.</exception>
    void Run(WorkContext context);

    /// <summary>Compares what is there with what was done.</summary>
    void Verify(string folder, int family, History history, Findings findings);
}

/// <summary>What a worker has to work with.</summary>
/// <param name="Folder">Its own folder on the volume; it exists.</param>
/// <param name="Family">Which content it writes: workers of one family write the same.</param>
/// <param name="Random">Its choices.</param>
/// <param name="Log">Where it tells what it does.</param>
/// <param name="Before">What the worker before it in this folder told, where that was compared with what is there since; null where nothing is known.</param>
/// <param name="Stop">Ends the work between two steps.</param>
internal sealed record WorkContext(string Folder, int Family, Random Random, OpLog Log, History? Before, CancellationToken Stop)
{
    public string Path(string name) => System.IO.Path.Combine(Folder, name);
}

/// <summary>What a verification has found.</summary>
internal sealed class Findings
{
    private readonly List<string> _violations = [];

    public IReadOnlyList<string> Violations => _violations;

    /// <summary>Steps that had succeeded, were not synced, and are not there: allowed, and the proof that something was cut short.</summary>
    public int LostSteps { get; set; }

    /// <summary>Whether files are read that no step of the history touched; without it their length is looked at, where a kind keeps many of them.</summary>
    public bool IncludesUntouched { get; init; } = true;

    /// <summary>Files and databases that were compared.</summary>
    public int Checked { get; set; }

    public void Violation(string text)
    {
        if (_violations.Count < Limits.Violations)
            _violations.Add(text);
    }
}

/// <summary>The kinds of work by name.</summary>
internal static class WorkKinds
{
    public static IReadOnlyDictionary<string, IWork> All { get; } = new Dictionary<string, IWork>
    {
        ["append"] = new AppendWork(),
        ["pages"] = new CellWork(CellAccess.Buffered, 4096),
        ["sectors"] = new CellWork(CellAccess.Buffered, 512),
        ["direct"] = new CellWork(CellAccess.Direct, 4096),
        ["mapped"] = new CellWork(CellAccess.Mapped, 4096),
        ["replace"] = new ReplaceWork(),
        ["fill-large"] = new FillWork(FillStyle.Large),
        ["fill-small"] = new FillWork(FillStyle.Small),
        ["fill-sparse"] = new FillWork(FillStyle.Sparse),
        ["names"] = new NameWork(syncEvery: 30),
        ["names-synced"] = new NameWork(syncEvery: 3),
        ["library"] = new LibraryWork(inPlace: false),
        ["library-in-place"] = new LibraryWork(inPlace: true),
        ["versions"] = new VersionWork(),
        ["sqlite-wal"] = new SqliteWork("wal"),
        ["sqlite-journal"] = new SqliteWork("delete"),
    };
}
