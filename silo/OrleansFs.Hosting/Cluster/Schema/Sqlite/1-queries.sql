-- The statements that Orleans' ADO.NET providers run. They read them from this table, by these keys, before anything else, and know nothing of the tables behind them:
-- only the names of parameters and of result columns are a contract (dotnet/orleans, src/AdoNet/Shared/Storage/DbStoredQueries.cs).
--
-- The providers take a connection from a pool for each call. So no call here opens a transaction that an error in its middle could leave behind in the pool: each change is one
-- statement, which SQLite makes atomic, and what else belongs to it is done by a trigger within that statement. changes() counts the rows of the statement, not of its triggers.
CREATE TABLE OrleansQuery
(
  QueryKey  TEXT NOT NULL PRIMARY KEY,
  QueryText TEXT NOT NULL
) STRICT, WITHOUT ROWID;
