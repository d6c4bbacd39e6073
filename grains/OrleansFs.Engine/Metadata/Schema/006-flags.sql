-- Format 6: whether a volume has an immutable or append-only inode is asked at each mount. 48 is FS_IMMUTABLE_FL (16) | FS_APPEND_FL (32).

CREATE INDEX inode_guarded ON inode (ino) WHERE flags & 48 <> 0;
