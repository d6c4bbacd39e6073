-- Format 12: blocks that are kept as pieces of others instead of in a file. Local to this copy: never in the journal, and a full copy brings none.

CREATE TABLE composed (
  hash    BLOB    PRIMARY KEY NOT NULL,
  content INTEGER NOT NULL,                     -- XXH3-64 of its content
  program BLOB    NOT NULL                      -- see Delta/DeltaProgram.cs: one target, every source named in full
) STRICT, WITHOUT ROWID;

-- What each is made of: counted in block.pins of the source.
CREATE TABLE composed_source (
  source BLOB NOT NULL,
  hash   BLOB NOT NULL,
  PRIMARY KEY (source, hash)
) STRICT, WITHOUT ROWID;

CREATE INDEX composed_source_hash ON composed_source (hash);
