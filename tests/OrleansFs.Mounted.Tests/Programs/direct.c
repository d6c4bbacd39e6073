/*
 * direct FILE: writes past the page cache, by write(2) and by io_submit(2), are what the next read(2) through the cache and through a mapping gives, also where another process keeps
 * reading the file into the cache.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE (1 << 20)
#define PART (64 << 10)

static void die(const char *what)
{
    fprintf(stderr, "direct: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void submit(aio_context_t context, int fd, unsigned char *buffer, long offset)
{
    struct iocb request = { .aio_lio_opcode = IOCB_CMD_PWRITE, .aio_fildes = fd, .aio_buf = (uintptr_t)buffer, .aio_nbytes = PART, .aio_offset = offset };
    struct iocb *list[] = { &request };
    struct io_event event;
    if (syscall(SYS_io_submit, context, 1, list) != 1)
        die("io_submit");
    if (syscall(SYS_io_getevents, context, 1, 1, &event, NULL) != 1)
        die("io_getevents");
    if (event.res != PART) {
        fprintf(stderr, "direct: a write ended with %lld\n", (long long)event.res);
        exit(1);
    }
}

int main(int argc, char **argv)
{
    static unsigned char read_back[PART], zeros[SIZE];
    aio_context_t context = 0;
    unsigned char *buffer;
    int failed = 0, status;
    if (argc != 2 || posix_memalign((void **)&buffer, 4096, PART))
        return 2;
    int cached = open(argv[1], O_CREAT | O_RDWR, 0644), direct = open(argv[1], O_RDWR | O_DIRECT);
    if (cached < 0 || direct < 0)
        die(argv[1]);
    if (write(cached, zeros, SIZE) != SIZE || fsync(cached))
        die("write");
    unsigned char *map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, cached, 0);
    if (map == MAP_FAILED || syscall(SYS_io_setup, 1, &context))
        die("mmap or io_setup");
    pid_t reader = fork();
    if (reader == 0)
        prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (reader == 0) {
        for (long offset = 0; offset < SIZE; offset += PART)
            if (pread(cached, read_back, PART, offset) != PART)
                _exit(1);
    }
    for (int round = 1; failed == 0 && round < 200; round++) {
        long offset = (long)(round * 7 % (SIZE / PART)) * PART;
        memset(buffer, round, PART);
        if (round % 2)
            submit(context, direct, buffer, offset);
        else if (pwrite(direct, buffer, PART, offset) != PART)
            die("pwrite");
        if (pread(cached, read_back, PART, offset) != PART)
            die("pread");
        if (memcmp(read_back, buffer, PART) || map[offset] != (unsigned char)round) {
            fprintf(stderr, "direct: round %d: a reader sees what was there before\n", round);
            failed = 1;
        }
    }
    kill(reader, SIGKILL);
    if (waitpid(reader, &status, 0) != reader || !WIFSIGNALED(status))
        die("the reader failed");
    if (failed == 0)
        puts("ok");
    return failed;
}
