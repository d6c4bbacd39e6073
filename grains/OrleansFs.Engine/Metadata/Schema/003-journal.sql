-- Format 3: the journal and who reads it.

CREATE TABLE journal (
  lsn     INTEGER PRIMARY KEY,                  -- of the transaction's last mutation
  count   INTEGER NOT NULL,                     -- mutations in it
  time    INTEGER NOT NULL,
  effects BLOB    NOT NULL                      -- see Effects.cs
) STRICT;

CREATE TABLE replica (
  name       TEXT    PRIMARY KEY NOT NULL,
  acked      INTEGER NOT NULL,                  -- LSN up to which it has everything on disk
  registered INTEGER NOT NULL,
  seen       INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
