-- What silos and clients of this cluster prove to each other that they know (OrleansFs.Client, Security/Handshake.cs). One row, made with the table and never changed.
CREATE TABLE OrleansFsSecret
(
  Secret BLOB NOT NULL
) STRICT;

INSERT INTO OrleansFsSecret VALUES (randomblob(32));
