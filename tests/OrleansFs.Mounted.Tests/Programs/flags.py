"""What each operation answers on a file and in a directory with a flag of chattr(1).

flags.py FOLDER WHO: prints a line for each operation, and what it answers with +a and with +i. WHO is "root", or the number of a user who does it then to what is his own."""
import ctypes, errno, fcntl, os, shutil, struct, sys

folder, who = sys.argv[1], sys.argv[2]
uid = 0 if who == "root" else int(who)
libc = ctypes.CDLL(None, use_errno=True)
GET, SET, BOTH = 0x80086601, 0x40086602, 0x30


def flag(path, bits):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        have = struct.unpack("I", fcntl.ioctl(fd, GET, b"\0" * 4))[0]
        fcntl.ioctl(fd, SET, struct.pack("I", have & ~BOTH | bits))
    finally:
        os.close(fd)


def opened(path, mode):
    os.close(os.open(path, mode))


def wrote(path, mode, data=b"more"):
    fd = os.open(path, mode)
    try:
        assert os.write(fd, data) == len(data)
    finally:
        os.close(fd)


def renamed(old, new, flags):
    if libc.renameat2(-100, old.encode(), -100, new.encode(), flags):
        raise OSError(ctypes.get_errno(), "renameat2")


def fallocate(fd, mode, at, length):
    if libc.fallocate(fd, mode, ctypes.c_long(at), ctypes.c_long(length)):
        raise OSError(ctypes.get_errno(), "fallocate")


def utimens(path, access, modify):
    if libc.utimensat(-100, path.encode(), (ctypes.c_long * 4)(0, access, 0, modify), 0):
        raise OSError(ctypes.get_errno(), "utimensat")


NOW, OMIT = (1 << 30) - 1, (1 << 30) - 2
W, RW, A, T = os.O_WRONLY, os.O_RDWR, os.O_APPEND, os.O_TRUNC
# On the file d/f, which is flagged. h is a descriptor of before, for reading and appending; "open" in front: decided by the open.
FILE = {
    "open r": lambda f, d, h: opened(f, os.O_RDONLY),
    "open w": lambda f, d, h: opened(f, W),
    "open rw": lambda f, d, h: opened(f, RW),
    "open w append": lambda f, d, h: opened(f, W | A),
    "open w append trunc": lambda f, d, h: opened(f, W | A | T),
    "open w creat": lambda f, d, h: opened(f, W | os.O_CREAT),
    "open and write": lambda f, d, h: wrote(f, W),
    "read": lambda f, d, h: os.read(h, 10),
    "append": lambda f, d, h: wrote(f, W | A),
    "append, held": lambda f, d, h: os.write(h, b"more"),
    "ftruncate, held": lambda f, d, h: os.ftruncate(h, 1),
    "fallocate, held": lambda f, d, h: fallocate(h, 0, 0, 4096),
    "punch, held": lambda f, d, h: fallocate(h, 3, 0, 2),
    "fsync, held": lambda f, d, h: os.fsync(h),
    "trunc": lambda f, d, h: opened(f, W | T),
    "truncate": lambda f, d, h: os.truncate(f, 1),
    "truncate, longer": lambda f, d, h: os.truncate(f, 100),
    "unlink": lambda f, d, h: os.unlink(f),
    "rename": lambda f, d, h: os.rename(f, d + "/g"),
    "rename over it": lambda f, d, h: os.rename(d + "/other", f),
    "exchange": lambda f, d, h: renamed(f, d + "/other", 2),
    "rename, noreplace": lambda f, d, h: renamed(f, d + "/g", 1),
    "link": lambda f, d, h: os.link(f, d + "/g"),
    "chmod": lambda f, d, h: os.chmod(f, 0o640),
    "fchmod, held": lambda f, d, h: os.fchmod(h, 0o640),
    "chown": lambda f, d, h: os.chown(f, uid, os.getgid()),
    "utimes": lambda f, d, h: os.utime(f, (1, 1)),
    "utimes, now": lambda f, d, h: os.utime(f),
    "utimes, access now": lambda f, d, h: utimens(f, NOW, OMIT),
    "setxattr": lambda f, d, h: os.setxattr(f, "user.b", b"1"),
    "removexattr": lambda f, d, h: os.removexattr(f, "user.a"),
    "getxattr": lambda f, d, h: os.getxattr(f, "user.a"),
    "stat": lambda f, d, h: os.stat(f),
    "lock": lambda f, d, h: fcntl.flock(h, fcntl.LOCK_EX),
    "chattr -ai": lambda f, d, h: flag(f, 0),
}
# In the directory d, which is flagged; it has a file f and a directory s.
DIRECTORY = {
    "create": lambda d: opened(d + "/new", W | os.O_CREAT | os.O_EXCL),
    "mkdir": lambda d: os.mkdir(d + "/new"),
    "mkfifo": lambda d: os.mkfifo(d + "/new"),
    "symlink": lambda d: os.symlink("f", d + "/new"),
    "link into": lambda d: os.link(d + "/../out", d + "/new"),
    "rename into": lambda d: os.rename(d + "/../out", d + "/new"),
    "rename into, over": lambda d: os.rename(d + "/../out", d + "/f"),
    "rename out": lambda d: os.rename(d + "/f", d + "/../new"),
    "rename within": lambda d: os.rename(d + "/f", d + "/new"),
    "unlink": lambda d: os.unlink(d + "/f"),
    "rmdir": lambda d: os.rmdir(d + "/s"),
    "write in it": lambda d: wrote(d + "/f", W),
    "chmod in it": lambda d: os.chmod(d + "/f", 0o600),
    "list": lambda d: os.listdir(d),
    "chmod": lambda d: os.chmod(d, 0o750),
    "utimes": lambda d: os.utime(d, (1, 1)),
    "setxattr": lambda d: os.setxattr(d, "user.b", b"1"),
    "rmdir it": lambda d: os.rmdir(d),
    "rename it": lambda d: os.rename(d, d + "/../moved"),
    "create below": lambda d: opened(d + "/s/new", W | os.O_CREAT | os.O_EXCL),
}


def outcome(operation):
    """Does it in a child, as the owner."""
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(told)
            if uid:
                os.setgroups([]); os.setgid(uid); os.setuid(uid)
            operation()
            os.write(tell, b"ok")
        except OSError as e:
            os.write(tell, errno.errorcode[e.errno].encode())
        except BaseException as e:
            os.write(tell, repr(e).encode())
        finally:
            os._exit(0)
    os.close(tell)
    answer = b""
    while part := os.read(told, 100):
        answer += part
    os.close(told)
    os.waitpid(child, 0)
    return answer.decode()


def made(path, data=b"data"):
    fd = os.open(path, RW | os.O_CREAT | A, 0o666)
    os.write(fd, data)
    os.fchown(fd, uid, uid)
    os.setxattr(path, "user.a", b"1")
    return fd


count = 0


def fresh():
    global count
    count += 1
    top = f"{folder}/{who}-{count}"
    os.mkdir(top); os.chown(top, uid, uid)
    d = top + "/d"
    os.mkdir(d); os.chown(d, uid, uid)
    return d


def clear(top):
    for path, directories, files in os.walk(top):
        for name in [path] + [path + "/" + f for f in files]:
            if not os.path.islink(name) and (os.path.isdir(name) or os.path.isfile(name)):
                flag(name, 0)
    shutil.rmtree(top)


def on_file(operation, bits):
    d = fresh()
    h = made(d + "/f")
    os.close(made(d + "/other"))
    os.fsync(h)
    flag(d + "/f", bits)
    answer = outcome(lambda: operation(d + "/f", d, h))
    os.close(h)
    clear(os.path.dirname(d))
    return answer


def on_directory(operation, bits):
    d = fresh()
    os.mkdir(d + "/s"); os.chown(d + "/s", uid, uid)
    os.close(made(d + "/f"))
    os.close(made(os.path.dirname(d) + "/out"))
    flag(d, bits)
    answer = outcome(lambda: operation(d))
    clear(os.path.dirname(d))
    return answer


for what, table, run in (("file", FILE, on_file), ("directory", DIRECTORY, on_directory)):
    for name, operation in table.items():
        print(f"{what}: {name}: {run(operation, 0x20)} {run(operation, 0x10)}")
