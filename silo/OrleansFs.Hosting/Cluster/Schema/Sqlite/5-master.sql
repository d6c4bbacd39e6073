-- Which copy of a volume is its master in a cluster (Cluster/MasterClaim.cs): a second one is refused when it starts. The folder tells a copy that was given another name from a copy of a copy.
CREATE TABLE OrleansFsMaster
(
  ClusterId TEXT NOT NULL,
  Volume TEXT NOT NULL,
  Copy TEXT NOT NULL,
  Epoch INTEGER NOT NULL,
  Folder TEXT NOT NULL,
  PRIMARY KEY (ClusterId, Volume)
) STRICT;
