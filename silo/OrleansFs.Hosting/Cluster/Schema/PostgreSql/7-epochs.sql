-- Every epoch of a volume, whether its master is there or away, and where it began (null: it is reserved, by a copy that is about to begin it). A replica that is promoted takes one that nobody else has; a former master finds
-- the first that came after its own.
CREATE TABLE OrleansFsEpoch
(
  ClusterId varchar(150) NOT NULL,
  Volume varchar(36) NOT NULL,
  Epoch bigint NOT NULL,
  Copy varchar(63) NOT NULL,
  Folder text NOT NULL,
  EpochStart bigint,
  PRIMARY KEY (ClusterId, Volume, Epoch)
);
INSERT INTO OrleansFsEpoch (ClusterId, Volume, Epoch, Copy, Folder, EpochStart) SELECT ClusterId, Volume, Epoch, Copy, Folder, EpochStart FROM OrleansFsMaster;
