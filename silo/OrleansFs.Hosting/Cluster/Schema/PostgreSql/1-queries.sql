-- The statements that Orleans' ADO.NET providers run: see ../Sqlite/1-queries.sql. Each is one statement here too, with its parts as common table expressions: they see the same
-- snapshot, and happen all or not at all.
CREATE TABLE OrleansQuery
(
  QueryKey  text NOT NULL PRIMARY KEY,
  QueryText text NOT NULL
);
