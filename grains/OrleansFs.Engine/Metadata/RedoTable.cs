using OrleansFs.Engine.Content;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>The table that had small synced writes in the formats up to 6.</summary>
internal static class RedoTable
{
    /// <summary>
    /// Writes what the table has to the redo log, on disk. The transaction that drops the table may be lost after that: then the log is written anew, with the same records.
    /// </summary>
    /// <param name="database">In the transaction that brings the format up.</param>
    /// <param name="folder">Where the log is.</param>
    public static void MoveToLog(Database database, string folder)
    {
        RedoLog.Delete(folder);
        using var rows = database.Prepare("SELECT ino, sequence, offset, size, mtime, ctime, data FROM redo ORDER BY sequence");
        if (!rows.Step())
            return;
        VolumeId volume;
        using (var s = database.Prepare("SELECT id FROM volume"))
        {
            s.Step();
            volume = VolumeId.Parse(s.Text(0));
        }
        using var log = RedoLog.Open(folder, volume, 4 * MetadataLimits.RedoBytes, 0, () => 0, _ => { }, Microsoft.Extensions.Logging.Abstractions.NullLogger.Instance, out _);
        do
        {
            long offset = rows.Int64(2);
            byte[] data = rows.Blob(6).ToArray();
            var draft = new RedoRecord(0, 0, rows.Inode(0), Lsn.Zero, rows.Int64(3), rows.Time(4), rows.Time(5), 0, 0);
            ByteRange[] ranges = data.Length > 0 ? [new ByteRange(offset, offset + data.Length)] : [];
            if (log.Append(draft, ranges, (at, target) => data.AsSpan((int)(at - offset), target.Length).CopyTo(target), _ => true) is null)
                throw new MetadataException(Errno.ENOSPC, 0, "what was synced before cannot be brought into the redo log of this format: make room on the disk");
        }
        while (rows.Step());
        log.SyncFiles();
    }
}
