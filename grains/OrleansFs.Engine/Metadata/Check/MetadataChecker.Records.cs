using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>
/// The records of append-only files. Records past the end of their file are no fault: a kill leaves them where their content was not on disk yet, and the next start cuts them off
/// (<see cref="MetadataStore.TrimRecords"/>); on a replica they have come before their content.
/// </content>
internal sealed partial class MetadataChecker
{
    private IEnumerable<MetadataFault> CheckRecords()
    {
        const string Ownerless =
            """
            SELECT r.ino, count(*) FROM (SELECT ino FROM record UNION ALL SELECT ino FROM appender) r LEFT JOIN inode i ON i.ino = r.ino AND i.mode & 0xF000 = 0x8000 AND i.flags & 32 <> 0
            WHERE i.ino IS NULL GROUP BY r.ino
            """;
        foreach (var fault in Each("records", Ownerless, OwnerlessRecords))
            yield return fault;
        foreach (var fault in CheckRecordSegments())
            yield return fault;
        foreach (var fault in CheckAppenders())
            yield return fault;
    }

    private static MetadataFault OwnerlessRecords(Statement s) =>
        new(MetadataFaultKind.RecordsWithoutFile, $"inode {s.Inode(0)} has records or appenders in {s.Int64(1)} rows, and is no append-only file") { Inode = s.Inode(0) };

    /// <summary>Goes through each segment, the records of one site in one file: what follows a row that is not as it should be is not looked at.</summary>
    private IEnumerable<MetadataFault> CheckRecordSegments()
    {
        long tail = _database.Scalar("SELECT lsn FROM volume");
        using var s = _database.Prepare("SELECT ino, site, chunk, count, offset, lsn, time, entries FROM record ORDER BY ino, site, chunk");
        (InodeNumber Inode, ushort Site)? current = null;
        bool isBroken = false;
        var last = default(RecordInfo);
        long rows = 0;
        while (s.Step())
        {
            var segment = (s.Inode(0), (ushort)s.Int64(1));
            if (segment != current)
            {
                (current, isBroken) = (segment, false);
                last = RecordChunk.Before(segment.Item2, 0, 0, default, default);
            }
            if (++rows % ReportRows == 0)
                Report("records", rows, null);
            if (isBroken || ReadChunk(s, tail, ref last) is not { } reason)
                continue;
            isBroken = true;
            yield return new MetadataFault(MetadataFaultKind.RecordsMalformed, $"the records of inode {segment.Item1} made by site {segment.Item2} are good up to {last.Sequence + 1}: {reason}")
            {
                Inode = segment.Item1,
                Site = segment.Item2,
                Expected = last.Sequence + 1,
            };
        }
    }

    /// <param name="s">A row.</param>
    /// <param name="tail">The newest mutation.</param>
    /// <param name="last">The last good record, before and after.</param>
    /// <returns>What is wrong; null where nothing is.</returns>
    private static string? ReadChunk(Statement s, long tail, ref RecordInfo last)
    {
        long first = s.Int64(2) * RecordChunk.Records, count = s.Int64(3);
        if (first != last.Sequence + 1)
            return $"a row begins with {first}";
        var record = RecordChunk.Before(last.Site, first, s.Int64(4), new Lsn(s.Int64(5)), s.Time(6));
        var rest = s.Blob(7);
        try
        {
            for (bool isFirst = true; RecordChunk.TryRead(ref rest, ref record); isFirst = false)
            {
                if (isFirst && (record.Offset, record.Lsn, record.Time) != (s.Int64(4), new Lsn(s.Int64(5)), s.Time(6)))
                    return "the first record of a row is not where the row says";
                if (record.Length < 1 || record.Offset < last.Offset + last.Length || record.Offset > long.MaxValue - record.Length)
                    return $"record {record.Sequence} is {record.Length} bytes at {record.Offset}";
                if (record.Lsn <= last.Lsn || record.Lsn.Value > tail || record.Time < last.Time)
                    return $"record {record.Sequence} is of mutation {record.Lsn}, the one before of {last.Lsn}, and the volume is at {tail}";
                if (record.Sequence >= first + Math.Min(count, RecordChunk.Records))
                    return $"a row has more records than the {count} that it says";
                last = record;
            }
        }
        catch (MetadataException)
        {
            return "what follows is malformed";
        }
        return count > 0 && last.Sequence + 1 == first + count ? null : $"a row has {last.Sequence + 1 - first} records, not {count}";
    }

    /// <summary>The newest append of a writer is one of the records.</summary>
    private IEnumerable<MetadataFault> CheckAppenders()
    {
        using var chunk = _database.Prepare("SELECT count, offset, lsn, time, entries FROM record WHERE ino = ?1 AND site = ?2 AND chunk = ?3");
        using var s = _database.Prepare("SELECT a.ino, a.writer, a.site, a.sequence, a.offset, a.length, a.lsn, a.time FROM appender a");
        while (s.Step())
        {
            var named = new RecordInfo { Site = (ushort)s.Int64(2), Sequence = s.Int64(3), Offset = s.Int64(4), Length = s.Int64(5), Lsn = new Lsn(s.Int64(6)), Time = s.Time(7) };
            byte[] writer = s.Blob(1).ToArray();
            if (writer.Length == 16 && FindRecord(chunk, s.Inode(0), named.Site, named.Sequence) == named)
                continue;
            yield return new MetadataFault(MetadataFaultKind.AppenderWrong, $"the newest append of writer {Convert.ToHexStringLower(writer)} to inode {s.Inode(0)} is said to be record {named.Sequence}, and is not") { Inode = s.Inode(0), Name = writer };
        }
    }

    private static RecordInfo? FindRecord(Statement chunk, InodeNumber inode, ushort site, long sequence)
    {
        if (sequence < 0 || !chunk.Bind(1, inode).Bind(2, (long)site).Bind(3, sequence / RecordChunk.Records).Step())
            return null;
        try
        {
            var record = RecordChunk.Before(site, sequence / RecordChunk.Records * RecordChunk.Records, chunk.Int64(1), new Lsn(chunk.Int64(2)), chunk.Time(3));
            var rest = chunk.Blob(4);
            while (RecordChunk.TryRead(ref rest, ref record))
            {
                if (record.Sequence == sequence)
                    return record;
            }
            return null;
        }
        catch (MetadataException)
        {
            // Told of with the records.
            return null;
        }
        finally
        {
            chunk.Reset();
        }
    }
}
