/*
 * locks FILE: fcntl(2) locks between processes: ranges, conflicts, splitting, waiting, deadlock, and their end at close(2) and exit(2); those of open files, and
 * their end at the last close(2).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int failures;

static int set(int fd, int command, short type, long start, long length)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET, .l_start = start, .l_len = length };
    return fcntl(fd, command, &lock) == 0 ? 0 : errno;
}

static void expect(int got, int want, const char *what)
{
    if (got == want)
        return;
    fprintf(stderr, "locks: %s: %d, not %d\n", what, got, want);
    failures++;
}

/* The same question asked by another process. */
static int other(const char *path, short type, long start, long length)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        int fd = open(path, O_RDWR);
        _exit(set(fd, F_SETLK, type, start, length));
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

/* Whether another process that wants to write everything from a byte on is told of this lock. */
static int in_the_way(const char *path, long from, short type, long start, long length)
{
    int status;
    pid_t child = fork();
    if (child == 0) {
        struct flock probe = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = from };
        int fd = open(path, O_RDWR);
        if (fcntl(fd, F_GETLK, &probe))
            _exit(2);
        if (probe.l_type == type && (type == F_UNLCK || (probe.l_start == start && probe.l_len == length)))
            _exit(0);
        fprintf(stderr, "locks: told of kind %d, %ld + %ld\n", probe.l_type, (long)probe.l_start, (long)probe.l_len);
        _exit(1);
    }
    waitpid(child, &status, 0);
    return WEXITSTATUS(status);
}

/* A lock of an open file that is closed: nobody has it any more, if not at once. */
static int retried(const char *path)
{
    int fd = open(path, O_RDWR), error = EAGAIN;
    for (int tries = 0; tries < 100 && error == EAGAIN; tries++) {
        error = set(fd, F_OFD_SETLK, F_WRLCK, 0, 0);
        if (error == EAGAIN)
            usleep(50000);
    }
    close(fd);
    return error;
}

static void of_open_files(const char *path)
{
    int status, one = open(path, O_RDWR), two = open(path, O_RDWR);
    expect(set(one, F_OFD_SETLK, F_WRLCK, 0, 0), 0, "an open file takes all");
    expect(set(two, F_OFD_SETLK, F_RDLCK, 0, 1), EAGAIN, "another open file of the same process shares 0");
    expect(other(path, F_RDLCK, 0, 1), EAGAIN, "another process shares 0");
    /* Neither the close of another descriptor nor that of one of several. */
    close(two);
    close(dup(one));
    expect(other(path, F_RDLCK, 0, 1), EAGAIN, "another process shares 0 after these closes");
    int pipes[2];
    if (pipe(pipes))
        exit(1);
    pid_t child = fork();
    if (child == 0) {
        char byte;
        close(pipes[1]);
        _exit(read(pipes[0], &byte, 1));
    }
    close(one);
    expect(other(path, F_WRLCK, 0, 0), EAGAIN, "another process takes all while a child has the open file");
    close(pipes[0]);
    close(pipes[1]);
    waitpid(child, &status, 0);
    expect(retried(path), 0, "an open file takes all after the last close");
    expect(retried(path), 0, "and after that one's");
    one = open(path, O_RDWR);
    expect(set(one, F_OFD_SETLK, F_WRLCK, 0, 10), 0, "an open file takes 0-9");
    expect(set(one, F_OFD_SETLK, F_UNLCK, 0, 5), 0, "it gives up 0-4");
    expect(other(path, F_WRLCK, 0, 5), 0, "another takes 0-4");
    expect(other(path, F_WRLCK, 5, 1), EAGAIN, "another takes 5");
    close(one);
    expect(retried(path), 0, "an open file takes all after this");
}

int main(int argc, char **argv)
{
    int status, pipes[2];
    char byte;
    if (argc != 2)
        return 2;
    const char *path = argv[1];
    int fd = open(path, O_CREAT | O_RDWR, 0644);
    expect(set(fd, F_SETLK, F_WRLCK, 100, 100), 0, "take 100-199");
    expect(other(path, F_WRLCK, 0, 100), 0, "another takes 0-99");
    expect(other(path, F_WRLCK, 150, 1), EAGAIN, "another takes 150");
    expect(other(path, F_RDLCK, 199, 10), EAGAIN, "another reads 199");
    expect(other(path, F_WRLCK, 200, 0), 0, "another takes 200 to the end");
    expect(set(fd, F_SETLK, F_UNLCK, 140, 20), 0, "give up 140-159");
    expect(other(path, F_WRLCK, 140, 20), 0, "another takes the gap");
    expect(other(path, F_WRLCK, 139, 1), EAGAIN, "another takes 139");
    expect(other(path, F_WRLCK, 160, 1), EAGAIN, "another takes 160");
    expect(set(fd, F_SETLK, F_RDLCK, 100, 40), 0, "make 100-139 shared");
    expect(other(path, F_RDLCK, 100, 40), 0, "another shares 100-139");
    expect(other(path, F_WRLCK, 100, 1), EAGAIN, "another takes 100");

    /* Of several the first in the file is told, in whatever order they were taken. */
    expect(set(fd, F_SETLK, F_WRLCK, 50, 10), 0, "take 50-59");
    expect(set(fd, F_SETLK, F_WRLCK, 20, 10), 0, "take 20-29");
    expect(in_the_way(path, 0, F_WRLCK, 20, 10), 0, "20-29 is the first");
    expect(in_the_way(path, 25, F_WRLCK, 20, 10), 0, "20-29 is the first from 25 on");
    expect(in_the_way(path, 30, F_WRLCK, 50, 10), 0, "50-59 is the first from 30 on");
    expect(in_the_way(path, 60, F_RDLCK, 100, 40), 0, "100-139 is the first from 60 on");
    /* What reaches to the end is one with what touches it. */
    expect(set(fd, F_SETLK, F_WRLCK, 1000, 0), 0, "take 1000 to the end");
    expect(set(fd, F_SETLK, F_WRLCK, 900, 100), 0, "take 900-999");
    expect(in_the_way(path, 890, F_WRLCK, 900, 0), 0, "900 to the end is one");
    expect(set(fd, F_SETLK, F_WRLCK, 700, 100), 0, "take 700-799");
    expect(set(fd, F_SETLK, F_WRLCK, 800, 0), 0, "take 800 to the end");
    expect(in_the_way(path, 690, F_WRLCK, 700, 0), 0, "700 to the end is one");
    expect(set(fd, F_SETLK, F_UNLCK, 700, 0), 0, "give up 700 to the end");
    expect(in_the_way(path, 690, F_UNLCK, 0, 0), 0, "nothing is in the way");

    struct flock probe = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = 160, .l_len = 1 };
    if (pipe(pipes))
        return 1;
    pid_t child = fork();
    if (child == 0) {
        int own = open(path, O_RDWR);
        if (fcntl(own, F_GETLK, &probe) || probe.l_type != F_WRLCK || probe.l_start != 160 || probe.l_len != 40 || probe.l_pid != getppid())
            _exit(1);
        /* Waits until the parent gives up. */
        close(pipes[0]);
        if (write(pipes[1], "r", 1) != 1)
            _exit(2);
        _exit(set(own, F_SETLKW, F_WRLCK, 160, 40));
    }
    if (read(pipes[0], &byte, 1) != 1)
        return 1;
    /* Any close of the file by this process gives up all its locks (fcntl(2)). */
    close(open(path, O_RDONLY));
    waitpid(child, &status, 0);
    expect(WEXITSTATUS(status), 0, "who waited gets the lock");
    expect(other(path, F_WRLCK, 0, 0), 0, "exit gives up locks");
    of_open_files(path);
    if (failures == 0)
        puts("ok");
    return failures != 0;
}
