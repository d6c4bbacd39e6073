-- Where the master's epoch began: a former master learns from it which of its mutations were never replicated.
ALTER TABLE OrleansFsMaster ADD COLUMN EpochStart bigint NOT NULL DEFAULT 0;
