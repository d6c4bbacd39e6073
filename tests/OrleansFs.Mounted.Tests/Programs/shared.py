"""Two mounts of one volume: appends, locks and an unlinked file. Arguments: the same directory on both. Ends with the first thing that is not as it should be."""
import fcntl
import os
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

assert held.read() == "still here"
