using System.Diagnostics;
using OrleansFs.Mounted.Tests.Mounts;
using Xunit;

namespace OrleansFs.Mounted.Tests.Command;

/// <summary>Real programs at work on a mount. Each script ends with the first command that fails.</summary>
public sealed class ProgramTests(MountPool mounts)
{
    [Theory, OnProgramMounts]
    public Task Git_commits_clones_and_collects(string kind) => RunAsync(kind, ["git"], """
        export HOME=$PWD GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=t GIT_AUTHOR_EMAIL=t@t GIT_COMMITTER_NAME=t GIT_COMMITTER_EMAIL=t@t
        git init -q -b main repository && cd repository
        for i in $(seq 60); do mkdir -p d$((i % 7)); seq $i $((i + 200)) > d$((i % 7))/f$i; done
        git add . && git commit -qm first
        for round in 1 2 3; do for i in $(seq 1 3 60); do echo $round >> d$((i % 7))/f$i; done; git commit -qam "round $round"; done
        git checkout -qb side HEAD~2 && echo side > side && git add side && git commit -qm side && git checkout -q main && git merge -q side -m merge
        cd .. && git clone -q --no-local repository clone && cd clone
        git gc -q --aggressive --prune=now && git fsck --full --strict
        test "$(git rev-list --count HEAD)" = 6
        test -z "$(git status --porcelain)"
        cd .. && diff -r --exclude=.git repository clone
        """);

    [Theory, OnProgramMounts]
    public Task Sqlite_keeps_what_concurrent_writers_commit(string kind) => RunAsync(kind, ["sqlite3"], """
        sqlite3 test.db 'pragma journal_mode=wal; create table t(writer int, i int, v blob);' > /dev/null
        writer() { for i in $(seq 40); do echo "insert into t values($1, $i, randomblob(3000));"; done | sqlite3 -cmd '.timeout 120000' test.db; }
        writer 1 & one=$!; writer 2 & two=$!; writer 3 & three=$!
        wait $one && wait $two && wait $three
        test "$(sqlite3 test.db 'pragma integrity_check')" = ok
        test "$(sqlite3 test.db 'select count(*), count(distinct writer*1000+i), sum(length(v)) from t')" = '120|120|360000'
        sqlite3 test.db 'delete from t where i % 2; vacuum; pragma wal_checkpoint(truncate);' > /dev/null
        test "$(sqlite3 test.db 'pragma integrity_check; select count(*) from t;' | tr '\n' ' ')" = 'ok 60 '
        """);

    [Theory, OnProgramMounts]
    public Task Tar_brings_a_tree_there_and_back(string kind) => RunAsync(kind, ["tar", "sha256sum"], """
        mkdir "$SCRATCH/tree" && cd "$SCRATCH/tree"
        for i in $(seq 200); do mkdir -p a$((i % 5))/b$((i % 3)); head -c $((i * 997)) /dev/urandom > a$((i % 5))/b$((i % 3))/f$i; done
        ln a1/b1/f1 hard; ln -s a1/b1/f1 soft; ln -s nowhere dangling; mkfifo fifo; truncate -s 10M sparse; echo end >> sparse; chmod 6755 a1/b1/f1; touch -d 2001-02-03T04:05:06.789 a2
        cd "$HERE" && mkdir there && tar -C "$SCRATCH/tree" -H posix -cSf - . | tar -C there -xpSf -
        sums() { (cd "$1" && find . -type f -print0 | sort -z | xargs -0 sha256sum && find . -printf '%p %y %m %n %l %T@ %s\n' | grep -v ' d ' | sort && find . -type d -printf '%p %m %n %T@\n' | sort); }
        sums "$SCRATCH/tree" > "$SCRATCH/want"; sums there > "$SCRATCH/there"; diff "$SCRATCH/want" "$SCRATCH/there"
        test "$(stat -c %b there/sparse)" -lt 1024
        mkdir "$SCRATCH/back" && tar -C there -H posix -cSf - . | tar -C "$SCRATCH/back" -xpSf -
        sums "$SCRATCH/back" > "$SCRATCH/have"; diff "$SCRATCH/want" "$SCRATCH/have"
        """);

    [Theory, OnProgramMounts]
    public Task Rsync_has_nothing_to_do_the_second_time(string kind) => RunAsync(kind, ["rsync", "setfattr", "setfacl"], """
        mkdir -p "$SCRATCH/from/d/e" && cd "$SCRATCH/from"
        for i in $(seq 50); do head -c $((i * 1500)) /dev/urandom > d/f$i; done
        ln d/f1 d/e/hard; ln -s ../f1 d/e/soft; setfattr -n user.note -v kept d/f2; setfacl -m u:1234:rwx d/f3; setfacl -d -m g:99:rx d/e; chown 12:34 d/f4; chmod 4711 d/f5; mkfifo d/fifo
        cd "$HERE" && rsync -aHAX "$SCRATCH/from/" to/
        test -z "$(rsync -aHAX --checksum --itemize-changes --delete "$SCRATCH/from/" to/)"
        getfacl -Rp --omit-header . > /dev/null
        test "$(cd to && getfattr -R -n user.note --only-values d/f2)" = kept
        echo changed >> "$SCRATCH/from/d/f9"; rm "$SCRATCH/from/d/f10"
        test "$(rsync -aHAX --inplace --itemize-changes --delete "$SCRATCH/from/" to/ | grep -c 'd/f')" = 2
        diff -r "$SCRATCH/from/d/e" to/d/e && cmp "$SCRATCH/from/d/f9" to/d/f9 && test ! -e to/d/f10
        """);

    [Theory, OnProgramMounts]
    public Task Make_and_gcc_build_a_project(string kind) => RunAsync(kind, ["gcc", "make"], """
        mkdir src && cd src
        for i in $(seq 20); do echo "int f$i(int x) { return x + $i; }" > f$i.c; echo "int f$i(int);" >> all.h; done
        { echo '#include "all.h"'; echo '#include <stdio.h>'; echo 'int main(void) { int x = 0;'; for i in $(seq 20); do echo "x = f$i(x);"; done; echo 'printf("%d\n", x); return 0; }'; } > main.c
        printf 'OBJECTS := $(patsubst %%.c,%%.o,$(wildcard *.c))\nprogram: libf.a main.o\n\t$(CC) -o $@ main.o -L. -lf\nlibf.a: $(filter-out main.o,$(OBJECTS))\n\tar rcs $@ $^\n' > Makefile
        make -s -j2 program && test "$(./program)" = 210
        make -q program
        echo "int f7(int x) { return x + 1007; }" > f7.c && touch -d '+2 seconds' f7.c && make -s program 2> /dev/null && test "$(./program)" = 1210
        """);

    [Theory, OnProgramMounts]
    public Task A_mapped_file_is_one_with_its_reads_and_writes(string kind) => RunAsync(kind, ["gcc"], """
        gcc -O2 -Wall -o "$SCRATCH/mmap" "$PROGRAMS/mmap.c" && "$SCRATCH/mmap" "$HERE/file"
        """);

    [Theory, OnProgramMounts]
    public Task A_reader_sees_what_was_written_past_the_cache(string kind) => RunAsync(kind, ["gcc"], """
        gcc -O2 -Wall -o "$SCRATCH/direct" "$PROGRAMS/direct.c" && "$SCRATCH/direct" "$HERE/file"
        """);

    [Theory, OnProgramMounts]
    public Task Range_locks_are_between_processes(string kind) => RunAsync(kind, ["gcc"], """
        gcc -O2 -Wall -o "$SCRATCH/locks" "$PROGRAMS/locks.c" && "$SCRATCH/locks" "$HERE/file"
        """);

    [Theory, OnProgramMounts]
    public Task A_python_script_does_a_day_of_work(string kind) => RunAsync(kind, ["python3"], """
        python3 "$PROGRAMS/work.py" "$HERE"
        """);

    [Theory, OnProgramMounts]
    public Task Copies_links_and_sizes_are_as_their_tools_say(string kind) => RunAsync(kind, ["cp", "du", "find", "dd"], """
        head -c 3000000 /dev/urandom > one && cp --reflink=auto one two && cmp one two
        cp --sparse=always "$PROGRAMS/work.py" copy && cmp "$PROGRAMS/work.py" copy
        truncate -s 1G hole && test "$(du -k hole | cut -f1)" -lt 100 && cp --sparse=auto hole hole2 && test "$(du -k hole2 | cut -f1)" -lt 100
        dd if=one of=three bs=123457 status=none && cmp one three
        dd if=/dev/zero of=zeros bs=1M count=3 oflag=direct status=none && test "$(stat -c %s zeros)" = 3145728
        mkdir -p deep/$(seq -s/ 60) && touch "deep/$(seq -s/ 60)/leaf" && test "$(find deep | wc -l)" = 62
        mv deep moved && test -e "moved/$(seq -s/ 60)/leaf" && rm -r moved && test ! -e moved
        test "$(stat -c '%w' one)" != -
        """);

    private async Task RunAsync(string kind, string[] programs, string script)
    {
        foreach (string program in programs)
            Assert.SkipWhen(!Exists(program), $"{program} is not installed");
        string here = await mounts.EnterAsync(kind);
        var start = new ProcessStartInfo("bash") { WorkingDirectory = here };
        start.ArgumentList.Add("-euo");
        start.ArgumentList.Add("pipefail");
        start.ArgumentList.Add("-c");
        start.ArgumentList.Add(script);
        start.Environment["HERE"] = here;
        start.Environment["SCRATCH"] = mounts.Scratch("program");
        start.Environment["PROGRAMS"] = Path.Combine(AppContext.BaseDirectory, "Programs");
        var outcome = await OrleansFsCommand.RunAsync(start);
        Assert.True(outcome.ExitCode == 0, outcome.All);
    }

    private static bool Exists(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(folder => File.Exists(Path.Combine(folder, program)));
}
