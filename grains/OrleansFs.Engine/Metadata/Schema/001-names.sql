-- Format 1: the volume, its inodes and their names.
-- Numbers that are unsigned in the program (inode numbers) are kept as the signed number of the same bits.
-- Times are nanoseconds since 1970 UTC. Sizes are bytes.

-- One row. Counters are totals that change in the transaction of what they count.
CREATE TABLE volume (
  one              INTEGER PRIMARY KEY CHECK (one = 1),
  id               TEXT    NOT NULL,            -- UUID
  name             TEXT    NOT NULL,
  copy             TEXT    NOT NULL,            -- name of this copy: the silo that serves it
  block_size       INTEGER NOT NULL,            -- S
  site             INTEGER NOT NULL,            -- top 16 bits of the inode numbers made here
  epoch            INTEGER NOT NULL,            -- of the master that wrote this copy
  created          INTEGER NOT NULL,
  next_inode       INTEGER NOT NULL,            -- only grows: numbers are never reused
  next_cookie      INTEGER NOT NULL,            -- only grows: cookies are never reused
  clock            INTEGER NOT NULL,            -- latest time given: the next run begins there
  lsn              INTEGER NOT NULL,            -- mutations so far
  files            INTEGER NOT NULL,
  directories      INTEGER NOT NULL,
  others           INTEGER NOT NULL,
  logical_bytes    INTEGER NOT NULL,
  referenced_bytes INTEGER NOT NULL,
  blocks           INTEGER NOT NULL,
  unique_bytes     INTEGER NOT NULL,
  stored_bytes     INTEGER NOT NULL,
  dead_blocks      INTEGER NOT NULL,
  dead_bytes       INTEGER NOT NULL,
  orphans          INTEGER NOT NULL
) STRICT;

CREATE TABLE inode (
  ino         INTEGER PRIMARY KEY,
  mode        INTEGER NOT NULL,                 -- type and permission bits
  nlink       INTEGER NOT NULL,                 -- 0: an orphan
  uid         INTEGER NOT NULL,
  gid         INTEGER NOT NULL,
  size        INTEGER NOT NULL,                 -- file: bytes; directory: entries; symbolic link: bytes of the target
  allocated   INTEGER NOT NULL,                 -- sum of the lengths of its blocks
  atime       INTEGER NOT NULL,
  mtime       INTEGER NOT NULL,
  ctime       INTEGER NOT NULL,
  btime       INTEGER NOT NULL,
  device      INTEGER NOT NULL,
  flags       INTEGER NOT NULL,                 -- as FS_IOC_GETFLAGS
  parent      INTEGER NOT NULL,                 -- directory: where it is; otherwise 0
  manifest    INTEGER NOT NULL,                 -- key of its rows in table manifest
  xattr_bytes INTEGER NOT NULL,                 -- names and values of its extended attributes
  linkable    INTEGER NOT NULL,                 -- made unnamed and never linked
  hash        BLOB,                             -- content hash where it is known, else NULL
  target      BLOB                              -- of a symbolic link
) STRICT;

CREATE INDEX inode_orphan ON inode (ino) WHERE nlink = 0;

CREATE TABLE dentry (
  parent INTEGER NOT NULL,
  name   BLOB    NOT NULL,                      -- 1 to 255 bytes, no '/' and no NUL
  cookie INTEGER NOT NULL,                      -- place in readdir
  ino    INTEGER NOT NULL,
  type   INTEGER NOT NULL,                      -- d_type
  PRIMARY KEY (parent, name)
) STRICT, WITHOUT ROWID;

-- For readdir: has the name as well, being an index of a table without rowid, so it covers.
CREATE INDEX dentry_cookie ON dentry (parent, cookie, ino, type);

CREATE TABLE xattr (
  ino   INTEGER NOT NULL,
  name  BLOB    NOT NULL,
  value BLOB    NOT NULL,
  PRIMARY KEY (ino, name)
) STRICT, WITHOUT ROWID;
