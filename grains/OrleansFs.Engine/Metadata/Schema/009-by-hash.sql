-- Format 9: files are found by their content hash, and the names of an inode by its number. Indexes only: they change in the transaction of what they index.

CREATE INDEX inode_hash ON inode (hash) WHERE hash IS NOT NULL;

-- Files whose hash nobody has computed: those of volumes from before format 4, and very large ones (MetadataLimits.HashedSegments). 61440 is S_IFMT, 32768 is S_IFREG.
CREATE INDEX inode_unhashed ON inode (ino) WHERE hash IS NULL AND nlink > 0 AND mode & 61440 = 32768;

-- Numbers only grow: a new name goes to its end. Has the name as well, being an index of a table without rowid.
CREATE INDEX dentry_ino ON dentry (ino);
