/*
 * mmap FILE: two processes write through shared mappings of one file, and read each other's writes through read(2); the file grows, is truncated and is unlinked while mapped.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGES 512
#define PAGE 4096

static void die(const char *what)
{
    fprintf(stderr, "mmap: %s: %s\n", what, strerror(errno));
    exit(1);
}

static void check(int ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "mmap: %s\n", what);
    exit(1);
}

static void fill(unsigned char *map, int first)
{
    for (int i = first; i < PAGES; i += 2)
        memset(map + (long)i * PAGE, i & 0xff, PAGE);
}

int main(int argc, char **argv)
{
    unsigned char buffer[PAGE];
    int status;
    if (argc != 2)
        return 2;
    int fd = open(argv[1], O_CREAT | O_EXCL | O_RDWR, 0644);
    if (fd < 0 || ftruncate(fd, (long)PAGES * PAGE))
        die(argv[1]);
    unsigned char *map = mmap(NULL, (long)PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (map == MAP_FAILED)
        die("mmap");
    pid_t child = fork();
    if (child == 0) {
        fill(map, 1);
        _exit(0);
    }
    fill(map, 0);
    check(waitpid(child, &status, 0) == child && status == 0, "the child failed");
    for (int i = 0; i < PAGES; i++) {
        if (pread(fd, buffer, PAGE, (long)i * PAGE) != PAGE)
            die("pread");
        check(buffer[0] == (i & 0xff) && !memcmp(buffer, buffer + 1, PAGE - 1), "read(2) does not see what was written through the mapping");
    }
    if (pwrite(fd, "written", 7, 5 * PAGE) != 7)
        die("pwrite");
    check(!memcmp(map + 5 * PAGE, "written", 7), "the mapping does not see what write(2) wrote");
    if (msync(map, (long)PAGES * PAGE, MS_SYNC) || fsync(fd))
        die("msync");
    /* A second descriptor after the caches were dropped: what msync promised. */
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    int again = open(argv[1], O_RDONLY);
    if (again < 0 || pread(again, buffer, PAGE, 7L * PAGE) != PAGE)
        die("pread after msync");
    check(buffer[100] == 7, "what msync promised is not there");
    /* The tail of the last page is zero after the file shrank and grew again. */
    if (ftruncate(fd, 100) || ftruncate(fd, (long)PAGES * PAGE))
        die("ftruncate");
    check(map[99] == 0 && map[100] == 0 && map[PAGE] == 0, "a truncated file kept its old content");
    if (unlink(argv[1]))
        die("unlink");
    map[0] = 42;
    check(msync(map, PAGE, MS_SYNC) == 0 && pread(fd, buffer, 1, 0) == 1 && buffer[0] == 42, "an unlinked file cannot be written through its mapping");
    puts("ok");
    return 0;
}
