-- Format 11: the mounts in other processes, and what they were answered. Local to this copy: never in the journal.

CREATE TABLE session (
  id     BLOB PRIMARY KEY NOT NULL,             -- its UUID
  client TEXT NOT NULL                          -- where and what, for the log
) STRICT, WITHOUT ROWID;

-- The newest reply of each slot. Written in the transaction of the change that it is the reply to: both are there after a crash, or neither is.
CREATE TABLE reply (
  session  BLOB    NOT NULL,
  slot     INTEGER NOT NULL,
  sequence INTEGER NOT NULL,
  value    BLOB    NOT NULL,                    -- see ReplyValue.cs
  PRIMARY KEY (session, slot)
) STRICT, WITHOUT ROWID;
