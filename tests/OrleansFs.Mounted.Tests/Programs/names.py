"""Names that a mount has looked up and its kernel keeps, and another mount changes at once. Arguments: a directory on the mount that changes, and the same on each of those that look.

Ends with the first thing that is not as it should be, or where a name was not kept: each change has to wait for that.
"""
import os
import sys
import threading
import time

# For how long a kernel keeps a name, and whoever changes it waits at most.
HELD = 2.2


def write(path, content=""):
    with open(path, "w") as f:
        f.write(content)


def is_there(path):
    try:
        os.lstat(path)
        return True
    except FileNotFoundError:
        return False


# Each gets ready, looks, gives the change, and finds it made.
def unlinked(changes, looks):
    write(f"{changes}/f")
    yield
    os.stat(f"{looks}/f")
    yield lambda: os.unlink(f"{changes}/f")
    assert not is_there(f"{looks}/f")


def made(changes, looks):
    yield
    assert not is_there(f"{looks}/f")
    yield lambda: write(f"{changes}/f", "x")
    assert open(f"{looks}/f").read() == "x"


def replaced(changes, looks):
    write(f"{changes}/a", "a")
    write(f"{changes}/b", "b")
    yield
    assert len([e.stat() for e in os.scandir(looks)]) == 2
    yield lambda: os.rename(f"{changes}/a", f"{changes}/b")
    assert not is_there(f"{looks}/a")
    assert open(f"{looks}/b").read() == "a"


def directory(changes, looks):
    os.makedirs(f"{changes}/d/e")
    write(f"{changes}/d/e/f")
    yield
    os.stat(f"{looks}/d/e/f")
    yield lambda: os.rename(f"{changes}/d", f"{changes}/c")
    assert not is_there(f"{looks}/d/e/f")
    assert is_there(f"{looks}/c/e/f")


def moved(changes, looks):
    """What is moved on the mount that looks is kept where it is then."""
    os.mkdir(f"{changes}/c")
    os.mkdir(f"{changes}/d")
    write(f"{changes}/c/f")
    yield
    os.stat(f"{looks}/c/f")
    os.rename(f"{looks}/c/f", f"{looks}/d/g")
    yield lambda: os.unlink(f"{changes}/d/g")
    assert not is_there(f"{looks}/d/g")
    write(f"{changes}/c/f")
    assert is_there(f"{looks}/c/f")


def removed(changes, looks):
    """What is removed on the mount that looks is made on the other."""
    write(f"{changes}/f")
    yield
    os.stat(f"{looks}/f")
    os.unlink(f"{looks}/f")
    assert not is_there(f"{looks}/f")
    yield lambda: write(f"{changes}/f")
    assert is_there(f"{looks}/f")


def both(mine, other, word):
    """Both look and change in the same directory at once: each sees what the other has done when that is told that it is done."""
    for i in range(40):
        assert not is_there(f"{other}/{word}{i}")
        assert not is_there(f"{mine}/{word}{i}")
        write(f"{mine}/{word}{i}")
        assert is_there(f"{other}/{word}{i}"), f"{word}{i} was made and is not there"
        os.unlink(f"{other}/{word}{i}")
        assert not is_there(f"{mine}/{word}{i}"), f"{word}{i} was removed and is there"


def together(works):
    failures = []

    def guarded(work):
        try:
            work()
        except BaseException as e:
            failures.append(repr(e))

    threads = [threading.Thread(target=guarded, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures


def timed(name, looked, change):
    begun = time.monotonic()
    change()
    waited = time.monotonic() - begun
    # On a machine where looking took this long the names are not kept any more.
    assert waited > 0.5 or begun - looked > 0.5, f"{name}: nothing was kept, the change took {waited:.3f} s"


changes, *mounts = sys.argv[1:]
scenarios = []
for i, looks in enumerate(mounts):
    for scenario in (unlinked, made, replaced, directory, moved, removed):
        name = f"{scenario.__name__}{i}"
        os.mkdir(f"{changes}/{name}")
        scenarios.append((name, scenario(f"{changes}/{name}", f"{looks}/{name}")))
    os.mkdir(f"{changes}/both{i}")
for _, scenario in scenarios:
    next(scenario)
# What this mount was answered it does not keep any more: what the others change does not wait for that.
time.sleep(HELD)
begun = time.monotonic()
looked = [(name, next(scenario)) for name, scenario in scenarios]
together([lambda n=name, c=change: timed(n, begun, c) for name, change in looked])
for _, scenario in scenarios:
    next(scenario, None)
together([lambda a=a, b=b, w=w, i=i: both(f"{a}/both{i}", f"{b}/both{i}", w) for i, looks in enumerate(mounts) for a, b, w in ((changes, looks, "x"), (looks, changes, "y"))])
