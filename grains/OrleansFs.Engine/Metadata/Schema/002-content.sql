-- Format 2: content: which blocks a file has, which blocks there are, and what was synced but is not in blocks yet.

-- 256 block hashes a row, trailing holes left off; a segment of holes only has no row.
CREATE TABLE manifest (
  manifest INTEGER NOT NULL,                    -- inode.manifest
  segment  INTEGER NOT NULL,                    -- block index / 256
  mapped   INTEGER NOT NULL,                    -- sum of the lengths of its blocks; ahead of the value, so that summing it reads no overflow page
  hashes   BLOB    NOT NULL,                    -- 32 bytes each, zeros for a hole
  PRIMARY KEY (manifest, segment)
) STRICT, WITHOUT ROWID;

CREATE TABLE block (
  hash      BLOB    PRIMARY KEY NOT NULL,       -- SHA-256
  length    INTEGER NOT NULL,
  stored    INTEGER NOT NULL,                   -- what it takes on disk here
  refs      INTEGER NOT NULL,                   -- manifest entries that name it: derived, fsck recomputes it
  last_use  INTEGER NOT NULL,
  weak      INTEGER NOT NULL,                   -- rolling checksum
  residency INTEGER NOT NULL,                   -- 0 absent, 1 local
  birth     INTEGER NOT NULL,                   -- LSN
  pins      INTEGER NOT NULL                    -- composed blocks built out of it
) STRICT, WITHOUT ROWID;

-- In the order of dying: new ones go to its end, where an order by hash would touch a page each.
CREATE INDEX block_dead ON block (last_use, hash) WHERE refs = 0;

-- Small synced writes. Local to this copy: never in the journal.
CREATE TABLE redo (
  ino      INTEGER NOT NULL,
  sequence INTEGER NOT NULL,                    -- order of the writes
  offset   INTEGER NOT NULL,
  size     INTEGER NOT NULL,                    -- of the file as of this write
  mtime    INTEGER NOT NULL,
  ctime    INTEGER NOT NULL,
  data     BLOB    NOT NULL,
  PRIMARY KEY (ino, sequence)
) STRICT, WITHOUT ROWID;
