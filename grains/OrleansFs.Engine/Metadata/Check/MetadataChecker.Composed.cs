using OrleansFs.Engine.Delta;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>Composed blocks, and the pins of what they are made of.</content>
internal sealed partial class MetadataChecker
{
    private IEnumerable<MetadataFault> CheckComposed()
    {
        // What each is made of, as its program says.
        _database.Execute("CREATE TABLE scratch.made (source BLOB NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (source, hash)) WITHOUT ROWID");
        foreach (var fault in CheckPrograms())
            yield return fault;
        const string Sources =
            """
            SELECT DISTINCT hash FROM (SELECT source, hash FROM composed_source EXCEPT SELECT source, hash FROM scratch.made
              UNION ALL SELECT * FROM (SELECT source, hash FROM scratch.made EXCEPT SELECT source, hash FROM composed_source))
            """;
        foreach (var fault in Each("composed blocks", Sources, s => Composed(MetadataFaultKind.ComposedSourcesWrong, s.Hash(0), "is noted to be made of other blocks than it is")))
            yield return fault;
        const string Pins =
            """
            SELECT b.hash, b.pins, coalesce(m.n, 0) FROM block b LEFT JOIN (SELECT source, count(*) AS n FROM scratch.made GROUP BY source) m ON m.source = b.hash
            WHERE b.pins <> coalesce(m.n, 0)
            """;
        foreach (var fault in Each("composed blocks", Pins, s => new MetadataFault(MetadataFaultKind.PinCountWrong, $"block {s.Hash(0)} is a source of {s.Int64(1)} composed blocks, it should be {s.Int64(2)}") { Block = s.Hash(0), Expected = s.Int64(2) }))
            yield return fault;
    }

    private IEnumerable<MetadataFault> CheckPrograms()
    {
        using var made = _database.Prepare("INSERT OR IGNORE INTO scratch.made VALUES (?1, ?2)");
        using var source = _database.Prepare("SELECT residency FROM block WHERE hash = ?1 AND hash NOT IN (SELECT hash FROM composed)");
        using var s = _database.Prepare("SELECT c.hash, c.program, b.residency FROM composed c LEFT JOIN block b ON b.hash = c.hash ORDER BY c.hash");
        while (s.Step())
        {
            var hash = s.Hash(0);
            if (s.IsNull(2) || s.Int64(2) == (long)Residency.Absent)
            {
                yield return Composed(MetadataFaultKind.ComposedWithoutBlock, hash, "has no row that says it is here");
                continue;
            }
            var program = DeltaProgram.TryRead(s.Blob(1));
            if (program is not { Targets: [var target] } || target.Hash != hash || program.Sources.Any(p => ResidencyOf(p) is null))
            {
                yield return Composed(MetadataFaultKind.ComposedUnreadable, hash, "cannot be put together");
                continue;
            }
            foreach (var part in program.Sources)
            {
                made.Bind(1, part.Hash!.Value).Bind(2, hash).Run();
                if (ResidencyOf(part) == Residency.Absent)
                    yield return new MetadataFault(MetadataFaultKind.ComposedSourceAbsent, $"block {part.Hash}, of which the composed block {hash} is made, is noted as absent") { Block = part.Hash };
            }
        }

        Residency? ResidencyOf(DeltaSource part)
        {
            if (part.Hash is not { } hash)
                return null;
            Residency? residency = source.Bind(1, hash).Step() ? (Residency)source.Int64(0) : null;
            source.Reset();
            return residency;
        }
    }

    private static MetadataFault Composed(MetadataFaultKind kind, BlockHash hash, string what) => new(kind, $"composed block {hash} {what}") { Block = hash };
}
