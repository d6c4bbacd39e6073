-- What silos and clients of this cluster prove to each other that they know (OrleansFs.Client, Security/Handshake.cs). One row, made with the table and never changed.
CREATE TABLE OrleansFsSecret
(
  Secret bytea NOT NULL
);

INSERT INTO OrleansFsSecret VALUES (decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));
