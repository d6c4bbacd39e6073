-- Format 10: the records of append-only files: where each begins and ends, and who has appended.

-- 256 records a row. The records of one site are one segment: their sequence counts from 0 without a gap, their offset, LSN and time only grow. A site writes its own segments and no other's.
CREATE TABLE record (
  ino     INTEGER NOT NULL,
  site    INTEGER NOT NULL,                     -- top 16 bits of the inode numbers that it makes
  chunk   INTEGER NOT NULL,                     -- sequence / 256
  count   INTEGER NOT NULL,
  offset  INTEGER NOT NULL,                     -- of the first: a byte of the file
  lsn     INTEGER NOT NULL,                     -- of the first: the mutation that made it
  time    INTEGER NOT NULL,                     -- of the first
  entries BLOB    NOT NULL,                     -- see RecordChunk.cs
  PRIMARY KEY (ino, site, chunk)
) STRICT, WITHOUT ROWID;

-- The newest append of each writer that names its appends, so that one whose answer was lost and that is asked for again is not made twice.
CREATE TABLE appender (
  ino      INTEGER NOT NULL,
  writer   BLOB    NOT NULL,                    -- 16 bytes: a session
  append   INTEGER NOT NULL,                    -- which of its appends: only grows
  site     INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  offset   INTEGER NOT NULL,
  length   INTEGER NOT NULL,
  lsn      INTEGER NOT NULL,
  time     INTEGER NOT NULL,
  PRIMARY KEY (ino, writer)
) STRICT, WITHOUT ROWID;
