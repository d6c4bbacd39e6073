-- Format 13: a replica may have acknowledged rows of blocks that it has not got, because nobody who was there had them, or they have become damaged since.

ALTER TABLE replica ADD COLUMN lacks INTEGER NOT NULL DEFAULT 0;   -- 1: at its last answer it did, and which is known only once it answers again
