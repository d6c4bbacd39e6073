using System.Diagnostics;
using OrleansFs.Fuse.Mounting;
using Xunit;

namespace OrleansFs.Fuse.Tests.Mounted;

/// <summary>Mounts of other processes: an ordinary user's through fusermount3, and one that is killed.</summary>
[Collection("mounted")]
public sealed class ProcessTests
{
    private const string Nobody = "65534";

    private static readonly TimeSpan s_patience = TimeSpan.FromSeconds(60);

    [Theory]
    [InlineData("device", FuseTransport.Device)]
    [InlineData("uring", FuseTransport.IoUring)]
    public async Task An_ordinary_user_mounts_through_fusermount3(string transport, FuseTransport expected)
    {
        SkipUnlessPossible(expected);
        Assert.SkipUnless(Find("fusermount3") && Find("setpriv"), "fusermount3 (package fuse3) and setpriv are needed");
        await using PublicDevice device = new();
        string program = CopyForEveryone();
        DirectoryInfo directory = Directory.CreateTempSubdirectory("fuse-user-");
        await RunAsync("chown", Nobody, directory.FullName);
        try
        {
            using Process server = Start("setpriv", [$"--reuid={Nobody}", $"--regid={Nobody}", "--clear-groups", program, "--serve", directory.FullName, transport]);
            Assert.Equal($"ready {expected}", await ReadLineAsync(server));
            // Root may not enter: the mount is its user's alone.
            Assert.Equal((-1, Errno.EACCES), (Posix.Open($"{directory.FullName}/file", Posix.O_RDWR | Posix.O_CREAT), Posix.LastError));
            string output = await RunAsync(
                "setpriv", $"--reuid={Nobody}", $"--regid={Nobody}", "--clear-groups", "sh", "-c", $"cd {directory.FullName} && echo hello > file && cat file && ls");
            Assert.Equal("hello\nfile\n", output);
            Assert.Equal("fuse.orleansfs", MountTable.At(directory.FullName)?.Type);
            server.StandardInput.Close();
            Assert.Equal("Unmounted", await ReadLineAsync(server));
            await server.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(s_patience, TestContext.Current.CancellationToken);
            Assert.Null(MountTable.At(directory.FullName));
        }
        finally
        {
            KernelMount.Unmount(directory.FullName, lazy: true);
            directory.Delete();
            Directory.Delete(Path.GetDirectoryName(program)!, recursive: true);
        }
    }

    [Theory]
    [InlineData("device", FuseTransport.Device)]
    [InlineData("uring", FuseTransport.IoUring)]
    public async Task A_mount_left_by_a_killed_process_is_taken_away_by_the_next(string transport, FuseTransport expected)
    {
        SkipUnlessPossible(expected);
        DirectoryInfo directory = Directory.CreateTempSubdirectory("fuse-dead-");
        using (Process server = Start(Program, ["--serve", directory.FullName, transport]))
        {
            Assert.Equal($"ready {expected}", await ReadLineAsync(server));
            Assert.False(DeadMount.IsAt(directory.FullName));
            Assert.False(DeadMount.DetachIfAt(directory.FullName));
            server.Kill();
            await server.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(s_patience, TestContext.Current.CancellationToken);
        }
        Assert.True(DeadMount.IsAt(directory.FullName));
        using (Process next = Start(Program, ["--serve", directory.FullName, transport]))
        {
            Assert.Equal($"ready {expected}", await ReadLineAsync(next));
            next.StandardInput.Close();
            Assert.Equal("Unmounted", await ReadLineAsync(next));
        }
        Assert.False(DeadMount.IsAt(directory.FullName));
        directory.Delete();
    }

    [Fact]
    public async Task What_cannot_be_mounted_says_why()
    {
        SkipUnlessPossible(FuseTransport.Device);
        FuseMountException missing = await Assert.ThrowsAsync<FuseMountException>(() => MountAsync("/nonexistent/directory"));
        Assert.Contains("is not a directory", missing.Message, StringComparison.Ordinal);
        DirectoryInfo directory = Directory.CreateTempSubdirectory("fuse-refused-");
        FuseMountException odd = await Assert.ThrowsAsync<FuseMountException>(() => MountAsync(directory.FullName, new FuseOptions { MaxWrite = 5000 }));
        Assert.Contains("multiple of 4096", odd.Message, StringComparison.Ordinal);
        FuseMountException refused = await Assert.ThrowsAsync<FuseMountException>(
            () => FuseMount.MountAsync(directory.FullName, new RefusingFileSystem(), new FuseOptions(), new TestLog(), TestContext.Current.CancellationToken));
        Assert.Contains("ENOMEM", refused.Message, StringComparison.Ordinal);
        Assert.Null(MountTable.At(directory.FullName));
        directory.Delete();
    }

    private static string Program => Path.Combine(AppContext.BaseDirectory, "OrleansFs.Fuse.Bench");

    private static Task<FuseMount> MountAsync(string directory, FuseOptions? options = null) =>
        FuseMount.MountAsync(directory, new RefusingFileSystem(), options ?? new FuseOptions(), new TestLog(), TestContext.Current.CancellationToken);

    private static void SkipUnlessPossible(FuseTransport transport)
    {
        Assert.SkipUnless(File.Exists("/dev/fuse") && Environment.IsPrivilegedProcess, "mounting needs root and /dev/fuse");
        if (transport != FuseTransport.IoUring)
            return;
        Assert.SkipUnless(File.Exists("/sys/module/fuse/parameters/enable_uring"), "this kernel has no FUSE over io_uring");
        File.WriteAllText("/sys/module/fuse/parameters/enable_uring", "Y");
    }

    private static bool Find(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, program)));

    private static Process Start(string program, string[] arguments) =>
        Process.Start(new ProcessStartInfo(program, arguments) { RedirectStandardInput = true, RedirectStandardOutput = true })!;

    private static async Task<string?> ReadLineAsync(Process process) =>
        await process.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken).AsTask().WaitAsync(s_patience, TestContext.Current.CancellationToken);

    private static async Task<string> RunAsync(string program, params string[] arguments)
    {
        using Process process = Start(program, arguments);
        string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken).WaitAsync(s_patience, TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken).WaitAsync(s_patience, TestContext.Current.CancellationToken);
        Assert.Equal(0, process.ExitCode);
        return output;
    }

    /// <summary>The build folder may lie where only root may look.</summary>
    private static string CopyForEveryone()
    {
        DirectoryInfo directory = Directory.CreateTempSubdirectory("fuse-program-");
        foreach (string file in Directory.GetFiles(AppContext.BaseDirectory).Where(f => !Path.GetFileName(f).StartsWith("xunit", StringComparison.Ordinal)))
            File.Copy(file, Path.Combine(directory.FullName, Path.GetFileName(file)));
        const UnixFileMode Everyone = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
            | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;
        File.SetUnixFileMode(directory.FullName, Everyone);
        return Path.Combine(directory.FullName, "OrleansFs.Fuse.Bench");
    }

    private sealed class RefusingFileSystem : FuseFileSystem
    {
        public override ValueTask<FuseResult<InitReply>> Init(InitRequest request) => FuseResult.Fail<InitReply>(Errno.ENOMEM);
    }

    /// <summary>/dev/fuse as udev makes it for everyone, for as long as a test runs: some systems have it for root alone.</summary>
    private sealed class PublicDevice : IAsyncDisposable
    {
        private readonly UnixFileMode _before = File.GetUnixFileMode("/dev/fuse");

        internal PublicDevice() =>
            File.SetUnixFileMode("/dev/fuse", _before | UnixFileMode.GroupRead | UnixFileMode.GroupWrite | UnixFileMode.OtherRead | UnixFileMode.OtherWrite);

        public ValueTask DisposeAsync()
        {
            File.SetUnixFileMode("/dev/fuse", _before);
            return ValueTask.CompletedTask;
        }
    }
}
