"""Two mounts of one volume: appends, locks and an unlinked file. Arguments: the same directory on both. Ends with the first thing that is not as it should be."""
import fcntl
import os
import select
import signal
import sys
import threading

one, two = sys.argv[1:]


def refused(lock):
    try:
        lock()
        return False
    except OSError:
        return True


# A file that is unlinked on one mount stays readable where it is open on the other.
with open(f"{one}/unlinked", "w") as f:
    f.write("still here")
held = open(f"{two}/unlinked")
os.unlink(f"{one}/unlinked")


# Who has a file open sees what the other mount changes with the next call, whatever its kernel keeps.
for mine, other in ((one, two), (two, one)):
    with open(f"{mine}/changed", "w") as f:
        f.write("x" * 5000)
    watched = os.open(f"{other}/changed", os.O_RDONLY)
    for i in range(20):
        for _ in range(3):
            os.fstat(watched)
            os.pread(watched, 5000, 0)
        content = f"{i:05d}".encode() * 1000
        fd = os.open(f"{mine}/changed", os.O_WRONLY)
        os.pwrite(fd, content, 0)
        os.close(fd)
        assert os.pread(watched, 5000, 0) == content, (mine, i)
        os.chmod(f"{mine}/changed", 0o600 + i % 8)
        assert os.fstat(watched).st_mode & 0o777 == 0o600 + i % 8, (mine, i)
    os.close(watched)


# Writers that append lose nothing, whichever mount they are on.
def append(path, word):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for i in range(300):
        os.write(fd, f"{word}{i:05d}\n".encode())
    os.close(fd)


writers = [threading.Thread(target=append, args=(f"{mount}/log", word)) for mount, word in ((one, "x"), (two, "y"), (one, "z"))]
for writer in writers:
    writer.start()
for writer in writers:
    writer.join()
for mount in (one, two):
    lines = open(f"{mount}/log").read().split()
    assert (len(lines), len(set(lines))) == (900, 900), (mount, len(lines), len(set(lines)))

# flock(2), and what a close gives up.
a, b = open(f"{one}/locked", "w"), open(f"{two}/locked", "w")
fcntl.flock(a, fcntl.LOCK_EX)
assert refused(lambda: fcntl.flock(b, fcntl.LOCK_EX | fcntl.LOCK_NB))
a.close()
# The kernel tells of the last close of a file behind the close itself: the lock is free a moment later.
signal.alarm(30)
fcntl.flock(b, fcntl.LOCK_EX)
signal.alarm(0)
b.close()

# fcntl(2) ranges.
a, b = open(f"{one}/locked", "w"), open(f"{two}/locked", "w")
fcntl.lockf(b, fcntl.LOCK_EX, 10, 0)
assert refused(lambda: fcntl.lockf(a, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5))
fcntl.lockf(a, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 20)
b.close()
fcntl.lockf(a, fcntl.LOCK_EX | fcntl.LOCK_NB, 5, 5)
a.close()



# Who waits for a lock on one mount (F_SETLKW, flock) gets it when it is given up on the other, and not before.
def handed_over(mine, other, lock):
    with open(f"{mine}/locked", "w") as a:
        lock(a, fcntl.LOCK_EX)
        told, tell = os.pipe()
        waiter = os.fork()
        if waiter == 0:
            with open(f"{other}/locked", "w") as b:
                os.write(tell, b"asks")
                lock(b, fcntl.LOCK_EX)
                os.write(tell, b"has it")
            os._exit(0)
        signal.alarm(60)
        assert os.read(told, 4) == b"asks"
        assert select.select([told], [], [], 0.3)[0] == [], "it has the lock that another holds"
        lock(a, fcntl.LOCK_UN)
        assert os.read(told, 6) == b"has it"
        assert os.waitpid(waiter, 0)[1] == 0
        signal.alarm(0)


for lock in (fcntl.lockf, fcntl.flock):
    handed_over(one, two, lock)
    handed_over(two, one, lock)

assert held.read() == "still here"
