-- State of grains: see ../Sqlite/3-persistence.sql.
CREATE TABLE OrleansStorage
(
  ServiceId              text        NOT NULL,
  GrainTypeString        text        NOT NULL,
  GrainIdN0              bigint      NOT NULL,
  GrainIdN1              bigint      NOT NULL,
  GrainIdExtensionString text,
  PayloadBinary          bytea,
  ModifiedOn             timestamptz NOT NULL DEFAULT now(),
  Version                integer     NOT NULL
);

CREATE UNIQUE INDEX OrleansStorageIdentity ON OrleansStorage (ServiceId, GrainTypeString, GrainIdN0, GrainIdN1, coalesce(GrainIdExtensionString, ''));

INSERT INTO OrleansQuery (QueryKey, QueryText) VALUES
('ReadFromStorageKey', '
  SELECT PayloadBinary, Version FROM OrleansStorage
  WHERE ServiceId = @ServiceId AND GrainTypeString = @GrainTypeString AND GrainIdN0 = @GrainIdN0 AND GrainIdN1 = @GrainIdN1
    AND coalesce(GrainIdExtensionString, '''') = coalesce(@GrainIdExtensionString, '''');'),

('WriteToStorageKey', '
  WITH updated AS (
    UPDATE OrleansStorage SET PayloadBinary = @PayloadBinary, ModifiedOn = now(), Version = Version + 1
    WHERE ServiceId = @ServiceId AND GrainTypeString = @GrainTypeString AND GrainIdN0 = @GrainIdN0 AND GrainIdN1 = @GrainIdN1
      AND coalesce(GrainIdExtensionString, '''') = coalesce(@GrainIdExtensionString, '''') AND Version = @GrainStateVersion
    RETURNING Version),
  inserted AS (
    INSERT INTO OrleansStorage (ServiceId, GrainTypeString, GrainIdN0, GrainIdN1, GrainIdExtensionString, PayloadBinary, Version)
    SELECT @ServiceId, @GrainTypeString, @GrainIdN0, @GrainIdN1, @GrainIdExtensionString, @PayloadBinary, 1 WHERE @GrainStateVersion IS NULL
    ON CONFLICT DO NOTHING
    RETURNING Version)
  SELECT Version AS NewGrainStateVersion FROM updated UNION ALL SELECT Version FROM inserted;'),

('ClearStorageKey', '
  UPDATE OrleansStorage SET PayloadBinary = NULL, ModifiedOn = now(), Version = Version + 1
  WHERE ServiceId = @ServiceId AND GrainTypeString = @GrainTypeString AND GrainIdN0 = @GrainIdN0 AND GrainIdN1 = @GrainIdN1
    AND coalesce(GrainIdExtensionString, '''') = coalesce(@GrainIdExtensionString, '''') AND Version = @GrainStateVersion
  RETURNING Version AS NewGrainStateVersion;'),

('DeleteStorageKey', '
  DELETE FROM OrleansStorage
  WHERE ServiceId = @ServiceId AND GrainTypeString = @GrainTypeString AND GrainIdN0 = @GrainIdN0 AND GrainIdN1 = @GrainIdN1
    AND coalesce(GrainIdExtensionString, '''') = coalesce(@GrainIdExtensionString, '''') AND Version = @GrainStateVersion
  RETURNING Version + 1 AS NewGrainStateVersion;');
