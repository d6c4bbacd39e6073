-- Format 5: roles and epochs. All of it but `epoch` and volume.epoch is this copy's own and never in the journal.

ALTER TABLE volume ADD COLUMN role INTEGER NOT NULL DEFAULT 0;         -- 0 master, 1 replica
ALTER TABLE volume ADD COLUMN fenced_by INTEGER;                       -- epoch of the master that took over; NULL where none did
ALTER TABLE volume ADD COLUMN fenced_at INTEGER;                       -- LSN at which that epoch began
ALTER TABLE volume ADD COLUMN local_bytes INTEGER NOT NULL DEFAULT 0;  -- what the blocks that should be in files here take on disk

UPDATE volume SET local_bytes = (SELECT coalesce(sum(stored), 0) FROM block WHERE residency = 1);

-- A replica that is being given a full copy needs the journal from there on, and has acknowledged less.
ALTER TABLE replica ADD COLUMN held INTEGER;

-- The history of masters: mutations after `start`, up to the start of the next epoch, were made in this one.
CREATE TABLE epoch (
  epoch INTEGER PRIMARY KEY,
  start INTEGER NOT NULL,
  time  INTEGER NOT NULL
) STRICT;

INSERT INTO epoch (epoch, start, time) SELECT epoch, 0, created FROM volume;
