-- Format 14: what is known of a session that was not heard of. Times are the volume's.

ALTER TABLE session ADD COLUMN lapsed INTEGER;   -- what others changed from then on it may not have been told; NULL: it was told everything
ALTER TABLE session ADD COLUMN ended INTEGER;    -- its lease was over: a restart does not wait for it; NULL: its lease runs
