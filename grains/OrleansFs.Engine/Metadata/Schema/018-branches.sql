-- Format 18: the branches of the history. In the journal: a replica has those of its master, up to its position.

-- Mutations after `start`, up to the start of the next branch, were made by one opening of the folder: a folder that was set back goes on in another branch than the one that it lost. One row an opening that changes
-- something. What is before the first was made by programs that had no branches.
CREATE TABLE branch (
  start INTEGER PRIMARY KEY,
  id    BLOB NOT NULL                           -- random, 16 bytes
) STRICT;
