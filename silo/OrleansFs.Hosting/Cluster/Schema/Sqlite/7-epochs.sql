-- Every epoch of a volume, whether its master is there or away, and where it began (null: it is reserved, by a copy that is about to begin it). A replica that is promoted takes one that nobody else has; a former master finds
-- the first that came after its own.
CREATE TABLE OrleansFsEpoch
(
  ClusterId TEXT NOT NULL,
  Volume TEXT NOT NULL,
  Epoch INTEGER NOT NULL,
  Copy TEXT NOT NULL,
  Folder TEXT NOT NULL,
  EpochStart INTEGER,
  PRIMARY KEY (ClusterId, Volume, Epoch)
) STRICT;
INSERT INTO OrleansFsEpoch (ClusterId, Volume, Epoch, Copy, Folder, EpochStart) SELECT ClusterId, Volume, Epoch, Copy, Folder, EpochStart FROM OrleansFsMaster;
