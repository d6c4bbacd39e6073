-- Format 4: the content hash of a file is kept with it. A segment has the node that it is in the tree of that hash, so that a change in a large file reads no other hashes.
-- Ahead of the hashes, so that reading it reads no overflow page.

ALTER TABLE manifest RENAME TO manifest_3;

CREATE TABLE manifest (
  manifest INTEGER NOT NULL,                    -- inode.manifest
  segment  INTEGER NOT NULL,                    -- block index / 256
  mapped   INTEGER NOT NULL,                    -- sum of the lengths of its blocks; ahead of the value, so that summing it reads no overflow page
  node     BLOB,                                -- SHA-256 of the hashes, filled up to 256 with zeros; NULL in a first segment that is not full, and where nobody has computed it
  hashes   BLOB    NOT NULL,                    -- 32 bytes each, zeros for a hole
  PRIMARY KEY (manifest, segment)
) STRICT, WITHOUT ROWID;

INSERT INTO manifest SELECT manifest, segment, mapped, NULL, hashes FROM manifest_3;

DROP TABLE manifest_3;

-- A known hash was void where it was not NULL: nobody has computed one.
UPDATE inode SET hash = NULL WHERE hash IS NOT NULL;
