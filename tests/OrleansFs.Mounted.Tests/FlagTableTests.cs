using System.Diagnostics;
using OrleansFs.Mounted.Tests.Command;
using OrleansFs.Mounted.Tests.Mounts;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>Each operation on what is append-only or immutable, as root and as an ordinary user who owns it, against the table of what ext4 answers.</summary>
public sealed class FlagTableTests(MountPool mounts)
{
    /// <summary>What it answers with +a, and with +i; made by Programs/flags.py on ext4 of Linux 6.18. In one line it is stricter here: fallocate(2) would make an append-only file longer without a record.</summary>
    private const string Table = """
        file: open r: ok ok
        file: open w: EPERM EPERM
        file: open rw: EPERM EPERM
        file: open w append: ok EPERM
        file: open w append trunc: EPERM EPERM
        file: open w creat: EPERM EPERM
        file: open and write: EPERM EPERM
        file: read: ok ok
        file: append: ok EPERM
        file: append, held: ok EPERM
        file: ftruncate, held: EPERM EPERM
        file: fallocate, held: EPERM EPERM
        file: punch, held: EPERM EPERM
        file: fsync, held: ok ok
        file: trunc: EPERM EPERM
        file: truncate: EPERM EPERM
        file: truncate, longer: EPERM EPERM
        file: unlink: EPERM EPERM
        file: rename: EPERM EPERM
        file: rename over it: EPERM EPERM
        file: exchange: EPERM EPERM
        file: rename, noreplace: EPERM EPERM
        file: link: EPERM EPERM
        file: chmod: EPERM EPERM
        file: fchmod, held: EPERM EPERM
        file: chown: EPERM EPERM
        file: utimes: EPERM EPERM
        file: utimes, now: ok EPERM
        file: utimes, access now: EPERM EPERM
        file: setxattr: EPERM EPERM
        file: removexattr: EPERM EPERM
        file: getxattr: ok ok
        file: stat: ok ok
        file: lock: ok ok
        file: chattr -ai: ok ok
        directory: create: ok EPERM
        directory: mkdir: ok EPERM
        directory: mkfifo: ok EPERM
        directory: symlink: ok EPERM
        directory: link into: ok EPERM
        directory: rename into: ok EPERM
        directory: rename into, over: EPERM EPERM
        directory: rename out: EPERM EPERM
        directory: rename within: EPERM EPERM
        directory: unlink: EPERM EPERM
        directory: rmdir: EPERM EPERM
        directory: write in it: ok ok
        directory: chmod in it: ok ok
        directory: list: ok ok
        directory: chmod: EPERM EPERM
        directory: utimes: EPERM EPERM
        directory: setxattr: EPERM EPERM
        directory: rmdir it: EPERM EPERM
        directory: rename it: EPERM EPERM
        directory: create below: ok ok
        """;

    public static TheoryData<string, string> Runs
    {
        get
        {
            var runs = new TheoryData<string, string> { { "engine/device", "root" }, { "engine/io_uring", "12345" }, { "remote shared/device", "root" }, { "remote shared/device", "12345" } };
            if (MountKind.PlainFolder is not null)
            {
                runs.Add("plain", "root");
                runs.Add("plain", "12345");
            }
            return runs;
        }
    }

    [Theory, MemberData(nameof(Runs))]
    public async Task Every_operation_answers_as_on_ext4(string kind, string who)
    {
        bool isPlain = MountKind.Named(kind).Volume == VolumeKind.Plain;
        string program = Path.Combine(AppContext.BaseDirectory, "Programs", "flags.py");
        var outcome = await OrleansFsCommand.RunAsync(new ProcessStartInfo("python3", [program, await mounts.EnterAsync(kind), who]));
        Assert.True(outcome.ExitCode == 0, outcome.All);
        string expected = Table;
        if (isPlain)
            expected = expected.Replace("fallocate, held: EPERM", "fallocate, held: ok", StringComparison.Ordinal);
        if (who != "root")
            expected = expected.Replace("chattr -ai: ok ok", "chattr -ai: EPERM EPERM", StringComparison.Ordinal);
        Assert.Equal(expected, outcome.Output.TrimEnd());
    }
}
