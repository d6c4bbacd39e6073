-- Which copy of a volume is its master in a cluster (Cluster/MasterClaim.cs): a second one is refused when it starts. The folder tells a copy that was given another name from a copy of a copy.
CREATE TABLE OrleansFsMaster
(
  ClusterId varchar(150) NOT NULL,
  Volume varchar(36) NOT NULL,
  Copy varchar(63) NOT NULL,
  Epoch bigint NOT NULL,
  Folder text NOT NULL,
  PRIMARY KEY (ClusterId, Volume)
);
