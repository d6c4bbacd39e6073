"""A name that one mount looks up and its kernel keeps, and another mount changes at once. Arguments: the scenario, the same directory on the mount that changes and on the one that looks.

Ends with the first thing that is not as it should be, or where the name was not kept: the change has to wait for that.
"""
import os
import sys
import threading
import time

scenario, changes, looks = sys.argv[1:]


def write(path, content=""):
    with open(path, "w") as f:
        f.write(content)


def is_there(path):
    try:
        os.lstat(path)
        return True
    except FileNotFoundError:
        return False


def kept(look, change):
    """Looks, then changes. A name that is kept makes the change wait for longer than names are kept."""
    look()
    begun = time.monotonic()
    look()
    looked = time.monotonic()
    change()
    waited = time.monotonic() - looked
    assert waited > 0.5 or looked - begun > 0.5, f"nothing was kept: the change took {waited:.3f} s"


def unlinked():
    write(f"{changes}/f")
    kept(lambda: os.stat(f"{looks}/f"), lambda: os.unlink(f"{changes}/f"))
    assert not is_there(f"{looks}/f")


def made():
    os.mkdir(f"{changes}/d")
    kept(lambda: is_there(f"{looks}/d/f"), lambda: write(f"{changes}/d/f", "x"))
    assert open(f"{looks}/d/f").read() == "x"


def replaced():
    write(f"{changes}/a", "a")
    write(f"{changes}/b", "b")
    kept(lambda: [e.stat() for e in os.scandir(looks)], lambda: os.rename(f"{changes}/a", f"{changes}/b"))
    assert not is_there(f"{looks}/a")
    assert open(f"{looks}/b").read() == "a"


def directory():
    os.makedirs(f"{changes}/d/e")
    write(f"{changes}/d/e/f")
    kept(lambda: os.stat(f"{looks}/d/e/f"), lambda: os.rename(f"{changes}/d", f"{changes}/c"))
    assert not is_there(f"{looks}/d/e/f")
    assert is_there(f"{looks}/c/e/f")


def moved():
    """What is moved on the mount that looks is kept where it is then."""
    os.mkdir(f"{changes}/c")
    os.mkdir(f"{changes}/d")
    write(f"{changes}/c/f")
    os.stat(f"{looks}/c/f")
    os.rename(f"{looks}/c/f", f"{looks}/d/g")
    kept(lambda: None, lambda: os.unlink(f"{changes}/d/g"))
    assert not is_there(f"{looks}/d/g")
    write(f"{changes}/c/f")
    assert is_there(f"{looks}/c/f")


def removed():
    """What is removed on the mount that looks is made on the other."""
    os.mkdir(f"{changes}/d")
    write(f"{changes}/d/f")
    os.stat(f"{looks}/d/f")
    os.unlink(f"{looks}/d/f")
    kept(lambda: is_there(f"{looks}/d/f"), lambda: write(f"{changes}/d/f"))
    assert is_there(f"{looks}/d/f")


def both():
    """Both look and change in the same directory at once: each sees what the other has done when it is told that it is done."""
    os.mkdir(f"{changes}/d")
    failures = []

    def work(mine, other, word):
        try:
            for i in range(40):
                assert not is_there(f"{other}/d/{word}{i}")
                assert not is_there(f"{mine}/d/{word}{i}")
                write(f"{mine}/d/{word}{i}")
                assert is_there(f"{other}/d/{word}{i}"), f"{word}{i} was made and is not there"
                os.unlink(f"{other}/d/{word}{i}")
                assert not is_there(f"{mine}/d/{word}{i}"), f"{word}{i} was removed and is there"
        except BaseException as e:
            failures.append(repr(e))

    workers = [threading.Thread(target=work, args=a) for a in ((changes, looks, "x"), (looks, changes, "y"))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures, failures


globals()[scenario]()
