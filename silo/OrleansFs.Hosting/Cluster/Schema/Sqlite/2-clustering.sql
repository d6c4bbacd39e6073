-- Membership: which silos there are. Orleans' protocol asks for a table whose rows change only together with its version, each change on the condition that the version is
-- the one that the writer has read (IMembershipTable.cs). Times are text, as Microsoft.Data.Sqlite writes them: they sort as they should.
CREATE TABLE OrleansMembershipVersionTable
(
  DeploymentId TEXT    NOT NULL PRIMARY KEY,
  Timestamp    TEXT    NOT NULL DEFAULT (datetime('now')),
  Version      INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE OrleansMembershipTable
(
  DeploymentId TEXT    NOT NULL REFERENCES OrleansMembershipVersionTable (DeploymentId),
  Address      TEXT    NOT NULL,
  Port         INTEGER NOT NULL,
  Generation   INTEGER NOT NULL,
  SiloName     TEXT    NOT NULL,
  HostName     TEXT    NOT NULL,
  Status       INTEGER NOT NULL, -- Orleans.Runtime.SiloStatus: 3 is Active, 6 is Dead
  ProxyPort    INTEGER NOT NULL, -- of the gateway; 0 where there is none
  SuspectTimes TEXT,
  StartTime    TEXT    NOT NULL,
  IAmAliveTime TEXT    NOT NULL,
  PRIMARY KEY (DeploymentId, Address, Port, Generation)
) STRICT, WITHOUT ROWID;

-- A silo that joins, and one whose status changes, make a new version. The sign of life does not: it names neither of these columns.
CREATE TRIGGER OrleansMembershipInserted AFTER INSERT ON OrleansMembershipTable
BEGIN
  UPDATE OrleansMembershipVersionTable SET Version = Version + 1, Timestamp = datetime('now') WHERE DeploymentId = new.DeploymentId;
END;

CREATE TRIGGER OrleansMembershipUpdated AFTER UPDATE OF Status, SuspectTimes ON OrleansMembershipTable
BEGIN
  UPDATE OrleansMembershipVersionTable SET Version = Version + 1, Timestamp = datetime('now') WHERE DeploymentId = new.DeploymentId;
END;

INSERT INTO OrleansQuery (QueryKey, QueryText) VALUES
('InsertMembershipVersionKey', '
  INSERT INTO OrleansMembershipVersionTable (DeploymentId) VALUES (@DeploymentId) ON CONFLICT DO NOTHING;
  SELECT changes();'),

('InsertMembershipKey', '
  INSERT INTO OrleansMembershipTable (DeploymentId, Address, Port, Generation, SiloName, HostName, Status, ProxyPort, StartTime, IAmAliveTime)
  SELECT @DeploymentId, @Address, @Port, @Generation, @SiloName, @HostName, @Status, @ProxyPort, @StartTime, @IAmAliveTime
  WHERE EXISTS (SELECT 1 FROM OrleansMembershipVersionTable WHERE DeploymentId = @DeploymentId AND Version = @Version)
  ON CONFLICT DO NOTHING;
  SELECT changes();'),

('UpdateMembershipKey', '
  UPDATE OrleansMembershipTable SET Status = @Status, SuspectTimes = @SuspectTimes, IAmAliveTime = @IAmAliveTime
  WHERE DeploymentId = @DeploymentId AND Address = @Address AND Port = @Port AND Generation = @Generation
    AND EXISTS (SELECT 1 FROM OrleansMembershipVersionTable WHERE DeploymentId = @DeploymentId AND Version = @Version);
  SELECT changes();'),

('UpdateIAmAlivetimeKey', '
  UPDATE OrleansMembershipTable SET IAmAliveTime = @IAmAliveTime
  WHERE DeploymentId = @DeploymentId AND Address = @Address AND Port = @Port AND Generation = @Generation;'),

-- Both reads give one row without a silo where none matches: the version must be seen.
('MembershipReadRowKey', '
  SELECT v.DeploymentId, m.Address, m.Port, m.Generation, m.SiloName, m.HostName, m.Status, m.ProxyPort, m.SuspectTimes, m.StartTime, m.IAmAliveTime, v.Version
  FROM OrleansMembershipVersionTable v
  LEFT JOIN OrleansMembershipTable m
    ON m.DeploymentId = v.DeploymentId AND m.Address = @Address AND m.Port = @Port AND m.Generation = @Generation
  WHERE v.DeploymentId = @DeploymentId;'),

('MembershipReadAllKey', '
  SELECT v.DeploymentId, m.Address, m.Port, m.Generation, m.SiloName, m.HostName, m.Status, m.ProxyPort, m.SuspectTimes, m.StartTime, m.IAmAliveTime, v.Version
  FROM OrleansMembershipVersionTable v
  LEFT JOIN OrleansMembershipTable m ON m.DeploymentId = v.DeploymentId
  WHERE v.DeploymentId = @DeploymentId;'),

-- The rows before the version that they refer to. A crash in between leaves an empty membership, which is as good.
('DeleteMembershipTableEntriesKey', '
  DELETE FROM OrleansMembershipTable WHERE DeploymentId = @DeploymentId;
  DELETE FROM OrleansMembershipVersionTable WHERE DeploymentId = @DeploymentId;'),

('CleanupDefunctSiloEntriesKey', '
  DELETE FROM OrleansMembershipTable WHERE DeploymentId = @DeploymentId AND IAmAliveTime < @IAmAliveTime AND Status <> 3;'),

('GatewaysQueryKey', '
  SELECT Address, ProxyPort, Generation FROM OrleansMembershipTable
  WHERE DeploymentId = @DeploymentId AND Status = @Status AND ProxyPort > 0;');
