using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <content>Directories, names and link counts.</content>
internal sealed partial class MetadataChecker
{
    private IEnumerable<MetadataFault> CheckNames()
    {
        if (_database.Scalar("SELECT count(*) FROM inode WHERE ino = 1 AND mode & 0xF000 = 0x4000 AND nlink > 0") == 0)
            yield return new MetadataFault(MetadataFaultKind.RootMissing, "there is no root directory") { Inode = InodeNumber.Root };
        const string Names =
            """
            SELECT d.parent, d.name, d.ino, d.type, i.mode, p.mode FROM dentry d LEFT JOIN inode i ON i.ino = d.ino LEFT JOIN inode p ON p.ino = d.parent
            WHERE i.ino IS NULL OR d.type <> (i.mode & 0xF000) >> 12 OR p.ino IS NULL OR p.mode & 0xF000 <> 0x4000
            """;
        foreach (var fault in Each("names", Names, NameFault))
            yield return fault;
        _database.Execute(
            """
            CREATE TABLE scratch.link (ino INTEGER PRIMARY KEY, names INTEGER NOT NULL);
            INSERT INTO scratch.link SELECT ino, count(*) FROM dentry GROUP BY ino;
            CREATE TABLE scratch.directory (ino INTEGER PRIMARY KEY, entries INTEGER NOT NULL, subdirectories INTEGER NOT NULL);
            INSERT INTO scratch.directory SELECT parent, count(*), count(*) FILTER (WHERE type = 4) FROM dentry GROUP BY parent;
            """);
        // A directory has one name, and it is where its parent says: any other is one too many.
        const string Parents =
            """
            SELECT d.parent, d.name, i.ino, i.parent, l.names FROM dentry d JOIN inode i ON i.ino = d.ino AND i.mode & 0xF000 = 0x4000 JOIN scratch.link l ON l.ino = i.ino
            WHERE d.parent <> i.parent OR l.names > 1 AND EXISTS (
              SELECT 1 FROM dentry e WHERE e.parent = d.parent AND e.ino = d.ino AND e.cookie < d.cookie)
            """;
        foreach (var fault in Each("directories", Parents, ParentFault))
            yield return fault;
    }

    private static MetadataFault NameFault(Statement s)
    {
        var (parent, name, child) = (s.Inode(0), s.Blob(1).ToArray(), s.Inode(2));
        if (s.IsNull(5) || !Mode.IsDirectory(s.UInt32(5)))
            return new MetadataFault(MetadataFaultKind.DentryWithoutDirectory, $"name {Show(name)} is in {parent}, which is no directory") { Inode = parent, Name = name };
        if (s.IsNull(4))
            return new MetadataFault(MetadataFaultKind.DentryWithoutInode, $"name {Show(name)} in directory {parent} leads to inode {child}, which does not exist") { Inode = parent, Name = name };
        return new MetadataFault(MetadataFaultKind.DentryTypeWrong, $"name {Show(name)} in directory {parent} has type {s.Int64(3)}, inode {child} has mode {s.Int64(4):x}")
        {
            Inode = parent,
            Name = name,
            Expected = Mode.DirectoryEntryType(s.UInt32(4)),
        };
    }

    private static MetadataFault ParentFault(Statement s)
    {
        var (parent, name, child, recorded, names) = (s.Inode(0), s.Blob(1).ToArray(), s.Inode(2), s.Inode(3), s.Int64(4));
        if (names > 1)
        {
            return new MetadataFault(MetadataFaultKind.DirectoryWithManyNames, $"directory {child} has {names} names, one of them {Show(name)} in {parent}; its parent is {recorded}")
            {
                Inode = parent,
                Name = name,
            };
        }
        return new MetadataFault(MetadataFaultKind.DirectoryParentWrong, $"directory {child} is {Show(name)} in {parent}, and says that it is in {recorded}")
        {
            Inode = child,
            Expected = unchecked((long)parent.Value),
        };
    }

    /// <summary>Walks the tree from the root, and from the directories without a name, which are told of elsewhere. What is left are cycles: of each, one
    /// directory is a fault, and
    /// with it the others come back.</summary>
    private IEnumerable<MetadataFault> CheckTree()
    {
        Report("tree", 0, null);
        _database.Execute(
            """
            CREATE TABLE scratch.reached (ino INTEGER PRIMARY KEY, depth INTEGER NOT NULL);
            CREATE INDEX scratch.reached_depth ON reached (depth);
            INSERT INTO scratch.reached SELECT ino, 0 FROM inode WHERE mode & 0xF000 = 0x4000 AND ino NOT IN (SELECT ino FROM scratch.link);
            """);
        using var start = _database.Prepare("INSERT OR IGNORE INTO scratch.reached VALUES (?1, ?2)");
        using var next = _database.Prepare(
            """
            INSERT OR IGNORE INTO scratch.reached SELECT d.ino, ?1 + 1 FROM scratch.reached r CROSS JOIN dentry d ON d.parent = r.ino AND d.type = 4 WHERE r.depth = ?1
            """);
        using var any = _database.Prepare("SELECT 1 FROM scratch.reached WHERE depth = ?1 LIMIT 1");
        using var lost = _database.Prepare(
            """
            SELECT i.ino FROM inode i JOIN scratch.link l ON l.ino = i.ino LEFT JOIN scratch.reached r ON r.ino = i.ino
            WHERE i.mode & 0xF000 = 0x4000 AND r.ino IS NULL AND i.ino > ?1 ORDER BY i.ino LIMIT 1
            """);
        long depth = 0;
        var from = InodeNumber.Root;
        while (true)
        {
            start.Bind(1, from).Bind(2, depth).Run();
            for (; HasRow(any.Bind(1, depth)); depth++)
                next.Bind(1, depth).Run();
            if (!lost.Bind(1, from == InodeNumber.Root ? 0L : unchecked((long)from.Value)).Step())
                yield break;
            from = lost.Inode(0);
            lost.Reset();
            yield return new MetadataFault(MetadataFaultKind.DirectoryUnreachable, $"directory {from} is not to be reached from the root") { Inode = from };
        }
    }

    private IEnumerable<MetadataFault> CheckInodes()
    {
        const string Inodes =
            """
            SELECT i.ino, i.mode, i.nlink, i.size, coalesce(l.names, 0), coalesce(d.entries, 0), coalesce(d.subdirectories, 0)
            FROM inode i LEFT JOIN scratch.link l ON l.ino = i.ino LEFT JOIN scratch.directory d ON d.ino = i.ino
            WHERE CASE WHEN i.mode & 0xF000 = 0x4000
              THEN i.size <> coalesce(d.entries, 0) OR i.nlink <> 2 + coalesce(d.subdirectories, 0) AND (i.nlink > 0 OR l.names IS NOT NULL) OR i.nlink > 0 AND l.names IS NULL AND i.ino <> 1
              ELSE i.nlink <> coalesce(l.names, 0) END
            """;
        Report("inodes", 0, null);
        using var s = _database.Prepare(Inodes);
        while (s.Step())
        {
            var inode = s.Inode(0);
            bool isDirectory = Mode.IsDirectory(s.UInt32(1));
            long links = s.Int64(2), size = s.Int64(3), names = s.Int64(4), entries = s.Int64(5);
            if (names == 0 && links > 0 && inode != InodeNumber.Root)
                yield return new MetadataFault(MetadataFaultKind.InodeWithoutName, $"inode {inode} has no name and its link count is {links}") { Inode = inode };
            if (isDirectory && size != entries)
                yield return new MetadataFault(MetadataFaultKind.DirectorySizeWrong, $"directory {inode} has {entries} entries, its size is {size}") { Inode = inode, Expected = entries };
            long expected = isDirectory ? 2 + s.Int64(6) : names;
            if (links != expected && (names > 0 || inode == InodeNumber.Root || isDirectory && links > 0))
                yield return new MetadataFault(MetadataFaultKind.LinkCountWrong, $"inode {inode} has link count {links}, it should be {expected}") { Inode = inode, Expected = expected };
        }
    }

    private IEnumerable<MetadataFault> CheckXattrs()
    {
        const string Xattrs =
            """
            SELECT coalesce(x.ino, i.ino), i.ino IS NULL, coalesce(i.xattr_bytes, 0), coalesce(x.total, 0)
            FROM (SELECT ino, sum(length(name) + length(value)) AS total FROM xattr GROUP BY ino) x FULL JOIN (SELECT ino, xattr_bytes FROM inode WHERE xattr_bytes > 0) i ON i.ino = x.ino
            WHERE i.ino IS NULL OR x.total IS NOT i.xattr_bytes
            """;
        Report("attributes", 0, null);
        using var exists = _database.Prepare("SELECT 1 FROM inode WHERE ino = ?1");
        using var s = _database.Prepare(Xattrs);
        while (s.Step())
        {
            var (inode, recorded, total) = (s.Inode(0), s.Int64(2), s.Int64(3));
            if (s.Int64(1) != 0 && !HasRow(exists.Bind(1, inode)))
                yield return new MetadataFault(MetadataFaultKind.XattrWithoutInode, $"inode {inode} has extended attributes and does not exist") { Inode = inode };
            else
                yield return new MetadataFault(MetadataFaultKind.XattrTotalWrong, $"the extended attributes of inode {inode} are {total} bytes, not {recorded}") { Inode = inode, Expected = total };
        }
    }

    private static bool HasRow(Statement s)
    {
        bool has = s.Step();
        s.Reset();
        return has;
    }
}
