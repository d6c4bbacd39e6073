"""Records that say who wrote them, which of his they are, and their own checksum.

records.py append FILE WRITER COUNT DONE: appends with write(2) until the file DONE is there, COUNT at least; prints the number of each that was answered. Where the mount dies it ends with what it has.
records.py check FILE ANSWERED...: every answered record is in the file once, no other more than once, all are whole, and those of a writer in their order. Of the writer "killed" those that it synced."""
import hashlib, os, random, sys, time


def record(writer, number):
    body = random.Random(f"{writer} {number}").randbytes(1 + number * 7919 % 2000)
    head = f"{writer} {number} {len(body)} ".encode()
    return head + body + hashlib.sha256(head + body).digest()


def append(path, writer, count, done):
    fd = os.open(path, os.O_WRONLY | os.O_APPEND)
    number = 0
    while number < count or not os.path.exists(done):
        data = record(writer, number)
        try:
            if os.write(fd, data) != len(data):
                sys.exit("a record was taken in part")
            if number % 5 == 4:
                os.fsync(fd)
        except OSError as e:
            print(f"{writer}: {number}: {e}", file=sys.stderr)
            break
        print(number, flush=True)
        number += 1
        time.sleep(0.01)  # so that what is checked is kills, and not how much a disk takes


def check(path, answers):
    data, at, seen = open(path, "rb").read(), 0, {}
    while at < len(data):
        writer, number, size = (field.decode() for field in data[at:at + 64].split(b" ", 3)[:3])
        whole = record(writer, int(number))
        assert data[at:at + len(whole)] == whole, f"at {at}: not what {writer} wrote as his {number}"
        assert seen.setdefault(writer, -1) < int(number), f"{writer}: {number} after {seen[writer]}"
        missing = int(number) - seen[writer] - 1
        assert missing == 0, f"{writer}: {missing} before {number} are not there"
        seen[writer] = int(number)
        at += len(whole)
    for answer in answers:
        writer, answered = os.path.basename(answer), len(open(answer).read().split())
        there = seen.pop(writer) + 1
        # One more than was answered: the mount died between the two. The mount that is killed with the silo loses what it has not synced.
        kept = answered // 5 * 5 if writer == "killed" else answered
        assert kept <= there <= answered + 1, f"{writer}: {answered} answered, {there} there"
    assert not seen, seen


if sys.argv[1] == "append":
    append(sys.argv[2], sys.argv[3], int(sys.argv[4]), sys.argv[5])
else:
    check(sys.argv[2], sys.argv[3:])
