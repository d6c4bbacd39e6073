-- Format 7: small synced writes are in a log of their own, files redo.0 and redo.1. What table redo had has been written there by the step to this format.

DROP TABLE redo;

-- Records of a file in the redo log, up to a sequence, that count no more: their content is in the file's manifest. Local to this copy: never in the journal.
CREATE TABLE redo_settled (
  ino      INTEGER PRIMARY KEY NOT NULL,
  sequence INTEGER NOT NULL
) STRICT;

-- Records of it that never counted: they build on mutations that were lost in a crash.
CREATE TABLE redo_lost (
  sequence INTEGER PRIMARY KEY NOT NULL
) STRICT;
