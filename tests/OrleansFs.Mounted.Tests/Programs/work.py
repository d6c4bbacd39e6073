"""Ordinary work in a directory: temporary files, replacing, copying trees, sendfile, mmap, locks, and a shelf database; every result is checked."""
import dbm
import fcntl
import hashlib
import mmap
import os
import shutil
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

os.chdir(sys.argv[1])

with tempfile.TemporaryDirectory(dir=".") as temporary:
    for i in range(200):
        with open(f"{temporary}/{i}", "w") as file:
            file.write(f"file {i}\n" * i)
    shutil.copytree(temporary, "copied")
assert not os.path.exists(temporary)
assert sorted(os.listdir("copied"), key=int) == [str(i) for i in range(200)]
assert all(open(f"copied/{i}").read() == f"file {i}\n" * i for i in range(200))

for i in range(100):
    with open("settings.new", "w") as file:
        file.write(str(i))
        file.flush()
        os.fsync(file.fileno())
    os.replace("settings.new", "settings")
    assert open("settings").read() == str(i)

content = os.urandom(3_000_001)
with open("source", "wb") as file:
    file.write(content)
with open("source", "rb") as source, open("target", "wb") as target:
    sent = 0
    while sent < len(content):
        sent += os.sendfile(target.fileno(), source.fileno(), sent, 1 << 20)
assert open("target", "rb").read() == content
with open("target", "r+b") as file, mmap.mmap(file.fileno(), 0) as mapped:
    mapped[1_000_000:1_000_010] = b"0123456789"
    mapped.flush()
assert open("target", "rb").read() == content[:1_000_000] + b"0123456789" + content[1_000_010:]

def count(_):
    with open("counter", "r+") as file:
        for _ in range(50):
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            value = int(file.read())
            file.seek(0)
            file.write(str(value + 1))
            file.flush()
            fcntl.flock(file, fcntl.LOCK_UN)

with open("counter", "w") as file:
    file.write("0")
with ThreadPoolExecutor(4) as pool:
    list(pool.map(count, range(4)))
assert open("counter").read() == "200", open("counter").read()

with dbm.open("shelf", "c") as shelf:
    for i in range(300):
        shelf[str(i)] = hashlib.sha256(str(i).encode()).hexdigest()
with dbm.open("shelf") as shelf:
    assert all(shelf[str(i)].decode() == hashlib.sha256(str(i).encode()).hexdigest() for i in range(300))

names = [b"plain", "ümläut".encode(), b"\xff\xfe", b"with space", b"new\nline"]
for name in names:
    with open(name, "wb") as file:
        file.write(name)
assert all(open(name, "rb").read() == name for name in names)
assert set(names) <= set(os.listdir(b"."))
print("ok")
