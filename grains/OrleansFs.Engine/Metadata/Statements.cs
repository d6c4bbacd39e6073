namespace OrleansFs.Engine.Metadata;

/// <summary>The statements that the store uses all the time, prepared once.</summary>
/// <remarks>No LIMIT with a parameter: SQLite plans such a statement anew whenever the parameter is bound, which costs more than all the rest. The caller
/// stops stepping instead.</remarks>
internal sealed class Statements(Database database) : IDisposable
{
    public readonly Statement Begin = database.Prepare("BEGIN IMMEDIATE");
    public readonly Statement Commit = database.Prepare("COMMIT");
    public readonly Statement Rollback = database.Prepare("ROLLBACK");

    public readonly Statement GetInode = database.Prepare($"SELECT {InodeColumns} FROM inode WHERE ino = ?1");

    public readonly Statement AddInode = database.Prepare(
        $"INSERT INTO inode ({InodeColumns}, target, hash) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19)");

    public readonly Statement PutInode = database.Prepare(
        """
        UPDATE inode SET mode = ?2, nlink = ?3, uid = ?4, gid = ?5, size = ?6, allocated = ?7, atime = ?8, mtime = ?9, ctime = ?10, btime = ?11, device = ?12, flags = ?13,
          parent = ?14, manifest = ?15, xattr_bytes = ?16, linkable = ?17, hash = CASE WHEN ?18 THEN ?19 ELSE hash END
        WHERE ino = ?1
        """);

    public readonly Statement DeleteInode = database.Prepare("DELETE FROM inode WHERE ino = ?1");
    public readonly Statement GetTarget = database.Prepare("SELECT target FROM inode WHERE ino = ?1");
    public readonly Statement Orphans = database.Prepare("SELECT ino FROM inode WHERE nlink = 0 ORDER BY ino");

    public readonly Statement InodesOfHash = database.Prepare("SELECT ino FROM inode INDEXED BY inode_hash WHERE hash = ?1 ORDER BY ino");
    public readonly Statement Unhashed = database.Prepare("SELECT ino FROM inode INDEXED BY inode_unhashed WHERE hash IS NULL AND nlink > 0 AND mode & 61440 = 32768 ORDER BY ino");

    public readonly Statement NamesOfInode = database.Prepare("SELECT parent, name FROM dentry INDEXED BY dentry_ino WHERE ino = ?1");

    public readonly Statement GetDentry = database.Prepare("SELECT cookie, ino, type FROM dentry WHERE parent = ?1 AND name = ?2");
    public readonly Statement AddDentry = database.Prepare("INSERT INTO dentry (parent, name, cookie, ino, type) VALUES (?1, ?2, ?3, ?4, ?5)");
    public readonly Statement PutDentry = database.Prepare("UPDATE dentry SET ino = ?3, type = ?4 WHERE parent = ?1 AND name = ?2");
    public readonly Statement DeleteDentry = database.Prepare("DELETE FROM dentry WHERE parent = ?1 AND name = ?2");
    public readonly Statement ReadDentries = database.Prepare("SELECT cookie, name, ino, type FROM dentry INDEXED BY dentry_cookie WHERE parent = ?1 AND cookie > ?2 ORDER BY cookie");

    public readonly Statement GetXattr = database.Prepare("SELECT value FROM xattr WHERE ino = ?1 AND name = ?2");
    public readonly Statement SizeXattr = database.Prepare("SELECT length(value) FROM xattr WHERE ino = ?1 AND name = ?2");
    public readonly Statement ListXattrs = database.Prepare("SELECT name FROM xattr WHERE ino = ?1 ORDER BY name");

    public readonly Statement SetXattr = database.Prepare(
        "INSERT INTO xattr (ino, name, value) VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET value = excluded.value");

    public readonly Statement DeleteXattr = database.Prepare("DELETE FROM xattr WHERE ino = ?1 AND name = ?2");
    public readonly Statement DeleteXattrs = database.Prepare("DELETE FROM xattr WHERE ino = ?1");

    public readonly Statement GetSegment = database.Prepare("SELECT mapped, hashes FROM manifest WHERE manifest = ?1 AND segment = ?2");
    public readonly Statement PutSegment = database.Prepare(
        "INSERT INTO manifest (manifest, segment, mapped, hashes, node) VALUES (?1, ?2, ?3, ?4, ?5) ON CONFLICT DO UPDATE SET mapped = excluded.mapped, hashes = excluded.hashes, node = excluded.node");
    public readonly Statement DeleteSegment = database.Prepare("DELETE FROM manifest WHERE manifest = ?1 AND segment = ?2");
    public readonly Statement SegmentsFrom = database.Prepare("SELECT segment, hashes FROM manifest WHERE manifest = ?1 AND segment >= ?2 ORDER BY segment");
    public readonly Statement MappedFrom = database.Prepare("SELECT segment, mapped FROM manifest WHERE manifest = ?1 AND segment >= ?2 ORDER BY segment");
    public readonly Statement HashSegments = database.Prepare("SELECT segment, node, hashes FROM manifest WHERE manifest = ?1 AND segment >= ?2 ORDER BY segment LIMIT ?3");
    public readonly Statement EachSegment = database.Prepare("SELECT segment FROM manifest WHERE manifest = ?1 AND segment >= ?2 AND segment < ?3 ORDER BY segment");
    public readonly Statement SumSegments = database.Prepare("SELECT coalesce(sum(mapped), 0) FROM manifest WHERE manifest = ?1 AND segment >= ?2 AND segment < ?3");
    public readonly Statement SegmentsBackwards = database.Prepare("SELECT segment FROM manifest WHERE manifest = ?1 ORDER BY segment DESC");
    public readonly Statement MoveSegments = database.Prepare("UPDATE manifest SET manifest = ?2 WHERE manifest = ?1 AND segment >= ?3 AND segment < ?4");

    public readonly Statement GetBlock = database.Prepare($"SELECT {BlockColumns} FROM block WHERE hash = ?1");
    public readonly Statement AddBlock = database.Prepare(
        "INSERT INTO block (hash, length, stored, refs, last_use, weak, residency, birth, pins) VALUES (?1, ?2, ?3, 1, ?4, ?5, 1, ?6, 0)");
    public readonly Statement CountBlock = database.Prepare("SELECT length, stored, refs, residency FROM block WHERE hash = ?1");
    public readonly Statement PutBlock = database.Prepare("UPDATE block SET refs = ?2, last_use = ?3, stored = ?4 WHERE hash = ?1");
    public readonly Statement StoreBlock = database.Prepare("UPDATE block SET refs = ?2, last_use = ?3, stored = ?4, residency = max(residency, 1), birth = ?5 WHERE hash = ?1");
    public readonly Statement DeleteBlock = database.Prepare("DELETE FROM block WHERE hash = ?1");
    public readonly Statement TouchBlock = database.Prepare("UPDATE block SET last_use = ?2 WHERE hash = ?1 AND last_use < ?2");
    public readonly Statement DeadBlocks = database.Prepare("SELECT last_use, hash FROM block INDEXED BY block_dead WHERE refs = 0 AND (last_use, hash) > (?1, ?2) AND last_use < ?3 ORDER BY last_use, hash");
    public readonly Statement BlocksFrom = database.Prepare($"SELECT {BlockColumns} FROM block WHERE hash >= ?1 ORDER BY hash");
    public readonly Statement PageBlocks = database.Prepare($"SELECT {BlockColumns} FROM block WHERE hash > ?1 ORDER BY hash");

    public readonly Statement GetChunk = database.Prepare("SELECT count, offset, lsn, time, entries FROM record WHERE ino = ?1 AND site = ?2 AND chunk = ?3");
    public readonly Statement LastChunk = database.Prepare("SELECT chunk, count FROM record WHERE ino = ?1 AND site = ?2 ORDER BY chunk DESC");
    public readonly Statement RecordChunks = database.Prepare("SELECT chunk, count, offset, lsn, time, entries FROM record WHERE ino = ?1 AND site = ?2 AND chunk >= ?3 ORDER BY chunk");
    public readonly Statement PutChunk = database.Prepare(
        """
        INSERT INTO record (ino, site, chunk, count, offset, lsn, time, entries) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)
          ON CONFLICT DO UPDATE SET count = excluded.count, entries = excluded.entries
        """);

    public readonly Statement DropChunks = database.Prepare("DELETE FROM record WHERE ino = ?1 AND site = ?2 AND chunk >= ?3");
    public readonly Statement DropRecords = database.Prepare("DELETE FROM record WHERE ino = ?1");
    public readonly Statement GetAppender = database.Prepare("SELECT append, site, sequence, offset, length, lsn, time FROM appender WHERE ino = ?1 AND writer = ?2");
    public readonly Statement PutAppender = database.Prepare(
        """
        INSERT INTO appender (ino, writer, append, site, sequence, offset, length, lsn, time) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
          ON CONFLICT DO UPDATE SET append = excluded.append, site = excluded.site, sequence = excluded.sequence, offset = excluded.offset, length = excluded.length, lsn = excluded.lsn, time = excluded.time
        """);

    public readonly Statement ForgetAppenders = database.Prepare("DELETE FROM appender WHERE ino = ?1 AND time < ?2");
    public readonly Statement TrimAppenders = database.Prepare("DELETE FROM appender WHERE ino = ?1 AND site = ?2 AND sequence >= ?3");
    public readonly Statement DropAppenders = database.Prepare("DELETE FROM appender WHERE ino = ?1");
    public readonly Statement GuardedInodes = database.Prepare("SELECT ino FROM inode INDEXED BY inode_guarded WHERE flags & 48 <> 0");

    public readonly Statement GetComposed = database.Prepare("SELECT content, program FROM composed WHERE hash = ?1");
    public readonly Statement IsComposed = database.Prepare("SELECT 1 FROM composed WHERE hash = ?1");
    public readonly Statement ComposedAfter = database.Prepare("SELECT hash FROM composed WHERE hash > ?1 ORDER BY hash");
    public readonly Statement MadeOf = database.Prepare("SELECT hash FROM composed_source WHERE source = ?1");
    public readonly Statement SourcesOf = database.Prepare("SELECT source FROM composed_source INDEXED BY composed_source_hash WHERE hash = ?1");
    public readonly Statement AddComposed = database.Prepare("INSERT INTO composed (hash, content, program) VALUES (?1, ?2, ?3)");
    public readonly Statement DeleteComposed = database.Prepare("DELETE FROM composed WHERE hash = ?1");
    public readonly Statement AddComposedSource = database.Prepare("INSERT INTO composed_source (source, hash) VALUES (?1, ?2)");
    public readonly Statement DeleteComposedSource = database.Prepare("DELETE FROM composed_source WHERE source = ?1 AND hash = ?2");
    public readonly Statement PinBlock = database.Prepare("UPDATE block SET pins = pins + ?2 WHERE hash = ?1");
    public readonly Statement SetStored = database.Prepare("UPDATE block SET stored = ?2 WHERE hash = ?1");

    public readonly Statement SettleRedo = database.Prepare("INSERT INTO redo_settled (ino, sequence) VALUES (?1, ?2) ON CONFLICT (ino) DO UPDATE SET sequence = ?2");
    public readonly Statement ForgetSettledRedo = database.Prepare("DELETE FROM redo_settled WHERE sequence < ?1");
    public readonly Statement ForgetLostRedo = database.Prepare("DELETE FROM redo_lost WHERE sequence < ?1");

    public readonly Statement AddJournal = database.Prepare("INSERT INTO journal (lsn, count, time, effects) VALUES (?1, ?2, ?3, ?4)");
    public readonly Statement OldestJournal = database.Prepare("SELECT lsn, length(effects) FROM journal ORDER BY lsn LIMIT 1");
    public readonly Statement DeleteJournal = database.Prepare("DELETE FROM journal WHERE lsn = ?1");
    public readonly Statement ReadJournal = database.Prepare("SELECT lsn, count, time, effects FROM journal WHERE lsn > ?1 ORDER BY lsn LIMIT 1");
    public readonly Statement PutReplica = database.Prepare(
        """
        INSERT INTO replica (name, acked, held, registered, seen, lacks) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
          ON CONFLICT DO UPDATE SET acked = excluded.acked, held = excluded.held, seen = excluded.seen, lacks = excluded.lacks
        """);

    public readonly Statement DeleteReplica = database.Prepare("DELETE FROM replica WHERE name = ?1");
    public readonly Statement SetResidency = database.Prepare("UPDATE block SET residency = ?2 WHERE hash = ?1");
    public readonly Statement SetFence = database.Prepare("UPDATE volume SET fenced_by = ?1, fenced_at = ?2");
    public readonly Statement SetEpoch = database.Prepare("UPDATE volume SET epoch = ?1");
    public readonly Statement AddBranch = database.Prepare("INSERT OR REPLACE INTO branch (start, id) VALUES (?1, ?2)");
    public readonly Statement AddEpoch = database.Prepare("INSERT OR REPLACE INTO epoch (epoch, start, time) VALUES (?1, ?2, ?3)");

    public readonly Statement PutSession = database.Prepare(
        "INSERT INTO session (id, client, lapsed, ended) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET client = excluded.client, lapsed = excluded.lapsed, ended = excluded.ended");
    public readonly Statement DeleteSession = database.Prepare("DELETE FROM session WHERE id = ?1");
    public readonly Statement DeleteReplies = database.Prepare("DELETE FROM reply WHERE session = ?1");
    public readonly Statement PutReply = database.Prepare(
        "INSERT INTO reply (session, slot, sequence, value) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET sequence = excluded.sequence, value = excluded.value");
    public readonly Statement Replies = database.Prepare("SELECT slot, sequence, value FROM reply WHERE session = ?1");

    public readonly Statement PutVolume = database.Prepare(
        """
        UPDATE volume SET next_inode = ?1, next_cookie = ?2, clock = ?3, lsn = ?4, files = ?5, directories = ?6, others = ?7, logical_bytes = ?8, referenced_bytes = ?9,
          blocks = ?10, unique_bytes = ?11, stored_bytes = ?12, dead_blocks = ?13, dead_bytes = ?14, orphans = ?15, local_bytes = ?16
        """);

    private const string InodeColumns = "ino, mode, nlink, uid, gid, size, allocated, atime, mtime, ctime, btime, device, flags, parent, manifest, xattr_bytes, linkable";
    public const string BlockColumns = "hash, length, stored, refs, last_use, weak, residency, birth, pins";

    public void Dispose()
    {
        foreach (var field in typeof(Statements).GetFields())
        {
            if (field.GetValue(this) is Statement statement)
                statement.Dispose();
        }
    }
}
