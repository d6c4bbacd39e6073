-- State of grains. One row a grain; its version is the etag. A cleared state keeps its row, without a payload, so that a writer that has read the state before is refused.
CREATE TABLE OrleansStorage
(
  ServiceId              TEXT    NOT NULL,
  GrainTypeString        TEXT    NOT NULL,
  GrainIdN0              INTEGER NOT NULL, -- a key that is a number or a GUID, in two halves; 0 where it is text
  GrainIdN1              INTEGER NOT NULL,
  GrainIdExtensionString TEXT,             -- the text of a key, or its extension
  PayloadBinary          BLOB,
  ModifiedOn             TEXT    NOT NULL DEFAULT (datetime('now')), -- for people
  Version                INTEGER NOT NULL
) STRICT;

-- The identity of a row. (The hashes that Orleans passes too are for databases that cannot index text of this length.)
CREATE UNIQUE INDEX OrleansStorageIdentity ON OrleansStorage (ServiceId, GrainTypeString, GrainIdN0, GrainIdN1, ifnull(GrainIdExtensionString, ''));

-- A write, a clear or a delete gives the new version; no row at all where the version was not the one that the grain has read, which Orleans reports as a conflict.
INSERT INTO OrleansQuery (QueryKey, QueryText) VALUES
('ReadFromStorageKey', '
  SELECT PayloadBinary, Version FROM OrleansStorage
  WHERE ServiceId = @ServiceId AND GrainTypeString = @GrainTypeString AND GrainIdN0 = @GrainIdN0 AND GrainIdN1 = @GrainIdN1
    AND ifnull(GrainIdExtensionString, '''') = ifnull(@GrainIdExtensionString, '''');'),

-- One of the two does something: the first where the grain has read a version, the second where it has read that there is none.
('WriteToStorageKey', '
  UPDATE OrleansStorage SET PayloadBinary = @PayloadBinary, ModifiedOn = datetime(''now''), Version = Version + 1
  WHERE ServiceId = @ServiceId AND GrainTypeString = @GrainTypeString AND GrainIdN0 = @GrainIdN0 AND GrainIdN1 = @GrainIdN1
    AND ifnull(GrainIdExtensionString, '''') = ifnull(@GrainIdExtensionString, '''') AND Version = @GrainStateVersion
  RETURNING Version AS NewGrainStateVersion;
  INSERT INTO OrleansStorage (ServiceId, GrainTypeString, GrainIdN0, GrainIdN1, GrainIdExtensionString, PayloadBinary, Version)
  SELECT @ServiceId, @GrainTypeString, @GrainIdN0, @GrainIdN1, @GrainIdExtensionString, @PayloadBinary, 1 WHERE @GrainStateVersion IS NULL
  ON CONFLICT DO NOTHING
  RETURNING Version AS NewGrainStateVersion;'),

('ClearStorageKey', '
  UPDATE OrleansStorage SET PayloadBinary = NULL, ModifiedOn = datetime(''now''), Version = Version + 1
  WHERE ServiceId = @ServiceId AND GrainTypeString = @GrainTypeString AND GrainIdN0 = @GrainIdN0 AND GrainIdN1 = @GrainIdN1
    AND ifnull(GrainIdExtensionString, '''') = ifnull(@GrainIdExtensionString, '''') AND Version = @GrainStateVersion
  RETURNING Version AS NewGrainStateVersion;'),

('DeleteStorageKey', '
  DELETE FROM OrleansStorage
  WHERE ServiceId = @ServiceId AND GrainTypeString = @GrainTypeString AND GrainIdN0 = @GrainIdN0 AND GrainIdN1 = @GrainIdN1
    AND ifnull(GrainIdExtensionString, '''') = ifnull(@GrainIdExtensionString, '''') AND Version = @GrainStateVersion
  RETURNING Version + 1 AS NewGrainStateVersion;');
