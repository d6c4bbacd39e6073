using System.Diagnostics;
using System.Net.Sockets;
using System.Text;
using System.Text.Json;
using OrleansFs.Mounted.Tests.Mounts;
using Xunit;

namespace OrleansFs.Mounted.Tests.Command;

/// <summary>status, gc and fsck: what they say, to people and to programs.</summary>
public sealed class WorkCommandTests(MountPool mounts)
{
    private static CancellationToken Ending => TestContext.Current.CancellationToken;

    [Fact]
    public async Task Status_tells_the_same_of_a_mount_and_of_its_folder_and_the_readme_names_every_field()
    {
        string data = mounts.Scratch("data"), mountPoint = await MountAsync(data);
        await File.WriteAllBytesAsync(Path.Combine(mountPoint, "a"), new byte[300_000], Ending);
        await File.WriteAllTextAsync(Path.Combine(mountPoint, "b"), string.Join('\n', Enumerable.Range(0, 100_000)), Ending);
        File.Copy(Path.Combine(mountPoint, "b"), Path.Combine(mountPoint, "c"));

        using (var watch = OrleansFsCommand.Start(new ProcessStartInfo(OrleansFsCommand.Path, ["status", mountPoint, "--watch"])))
        {
            int shown = 0;
            while (shown < 2)
                shown += (await watch.StandardOutput.ReadLineAsync(Ending))!.StartsWith("volume ", StringComparison.Ordinal) ? 1 : 0;
            await OrleansFsCommand.RunAsync(new ProcessStartInfo("kill", ["-INT", $"{watch.Id}"]));
            await watch.WaitForExitAsync(Ending);
            Assert.Equal(0, watch.ExitCode);
        }

        // Of what is no request, or one to come, nothing is harmed.
        Assert.Equal("", await SayAsync(data, "nonsense\n"));
        Assert.Equal("", await SayAsync(data, "{\"version\":1,\"verb\":\"Fly\"}\n"));
        Assert.Equal("", await SayAsync(data, new string('x', 1 << 17)));
        Assert.StartsWith("{\"error\":\"the process that serves the volume is older than this program", await SayAsync(data, "{\"version\":9,\"verb\":\"Status\"}\n"), StringComparison.Ordinal);
        Assert.StartsWith("{\"status\":{\"volume\":{", await SayAsync(data, "{\"version\":1,\"verb\":\"Status\",\"dryRun\":false,\"copies\":1,\"later\":[1]}\n"), StringComparison.Ordinal);

        var served = Parse(await OrleansFsCommand.SucceedAsync("status", mountPoint, "--json"));
        Assert.Equal(mountPoint, served.GetProperty("mount").GetProperty("mountPoint").GetString());
        Assert.Equal(Names(served), Names(Parse(await OrleansFsCommand.SucceedAsync("status", "--data", data, "--json"))));
        await OrleansFsCommand.SucceedAsync("umount", mountPoint);
        var rest = Parse(await OrleansFsCommand.SucceedAsync("status", "--data", data, "--json"));
        Assert.Equal(JsonValueKind.Null, rest.GetProperty("mount").ValueKind);
        Assert.Equal(Names(served), Names(rest));
        Assert.Equal(3, rest.GetProperty("files").GetInt64());
        Assert.Equal(1, rest.GetProperty("directories").GetInt64());
        Assert.Equal(300_000 + (2 * 588_889), rest.GetProperty("logicalBytes").GetInt64());
        Assert.Equal(588_889, rest.GetProperty("uniqueBytes").GetInt64());
        Assert.Equal(2, rest.GetProperty("deduplicationRatio").GetDouble(), 0.001);
        Assert.True(rest.GetProperty("storedBytes").GetInt64() < 588_889);
        Assert.True(rest.GetProperty("compressionRatio").GetDouble() > 1.1);
        Assert.Equal(0, rest.GetProperty("inFlightBytes").GetInt64());

        string readme = await ReadmeAsync();
        Assert.All([.. Names(served), .. Names(served.GetProperty("mount"))], name => Assert.Contains($"`{name}`", readme, StringComparison.Ordinal));
    }

    [Fact]
    public async Task Gc_frees_what_was_deleted_on_a_mount_and_at_rest()
    {
        string data = mounts.Scratch("data"), mountPoint = await MountAsync(data);
        foreach (string name in new[] { "one", "two" })
        {
            byte[] content = new byte[400_000];
            new Random(name[0]).NextBytes(content);
            await using var file = File.Create(Path.Combine(mountPoint, name));
            file.Write(content);
            file.Flush(flushToDisk: true);
        }
        File.Delete(Path.Combine(mountPoint, "one"));
        Assert.StartsWith("would free 4 blocks", await OrleansFsCommand.SucceedAsync("gc", mountPoint, "--dry-run"), StringComparison.Ordinal);
        Assert.StartsWith("freed 4 blocks", await OrleansFsCommand.SucceedAsync("gc", mountPoint), StringComparison.Ordinal);
        Assert.StartsWith("would free 0 blocks", await OrleansFsCommand.SucceedAsync("gc", "--data", data, "--dry-run"), StringComparison.Ordinal);
        File.Delete(Path.Combine(mountPoint, "two"));
        await OrleansFsCommand.SucceedAsync("umount", mountPoint);
        Assert.StartsWith("freed 4 blocks", await OrleansFsCommand.SucceedAsync("gc", "--data", data), StringComparison.Ordinal);
        Assert.Empty(Directory.GetFiles(Path.Combine(data, "blocks"), "*", SearchOption.AllDirectories));
    }

    [Fact]
    public async Task Fsck_names_the_file_that_a_damaged_block_is_part_of()
    {
        string data = mounts.Scratch("data"), mountPoint = await MountAsync(data);
        byte[] content = new byte[50_000];
        new Random(3).NextBytes(content);
        Directory.CreateDirectory(Path.Combine(mountPoint, "folder"));
        await File.WriteAllBytesAsync(Path.Combine(mountPoint, "folder", "photo"), content, Ending);
        await OrleansFsCommand.SucceedAsync("umount", mountPoint);

        // Elsewhere than on a terminal: plain lines, and results apart from progress.
        var clean = await OrleansFsCommand.RunAsync("fsck", "--data", data, "--verify-data");
        Assert.Equal((0, "clean: 1 blocks, 48.8 KiB verified\n"), (clean.ExitCode, clean.Output));
        Assert.Matches(@"(?m)^verifying blocks: (\d+) of \1$", clean.Error);
        Assert.DoesNotContain('\e', clean.Error);
        Assert.DoesNotContain('\r', clean.Error);
        // On a terminal: a bar, and the result stays.
        var terminal = await OrleansFsCommand.RunAsync(new ProcessStartInfo("script", ["-qec", $"{OrleansFsCommand.Path} fsck --data {data} --verify-data", "/dev/null"]));
        Assert.Equal(0, terminal.ExitCode);
        Assert.Contains("\e[", terminal.Output, StringComparison.Ordinal);
        Assert.Contains('%', terminal.Output);
        Assert.Contains("clean: 1 blocks, 48.8 KiB verified", terminal.Output, StringComparison.Ordinal);

        string block = Assert.Single(Directory.GetFiles(Path.Combine(data, "blocks"), "*", SearchOption.AllDirectories));
        await using (var file = File.OpenWrite(block))
        {
            file.Position = file.Length - 10;
            file.WriteByte((byte)~content[^10]);
        }
        var damaged = await OrleansFsCommand.RunAsync("fsck", "--data", data, "--verify-data");
        Assert.Equal(4, damaged.ExitCode);
        Assert.Contains("folder/photo", damaged.Output, StringComparison.Ordinal);
        var json = await OrleansFsCommand.RunAsync("fsck", "--data", data, "--verify-data", "--json");
        Assert.Equal((4, ""), (json.ExitCode, json.Error));
        var report = Parse(json.Output);
        Assert.Equal(4, report.GetProperty("exitCode").GetInt32());
        string readme = await ReadmeAsync();
        Assert.All([.. Names(report), .. Names(report.GetProperty("faults")[0])], name => Assert.Contains($"`{name}`", readme, StringComparison.Ordinal));
    }

    /// <summary>What is answered at the control socket of a folder.</summary>
    private static async Task<string> SayAsync(string data, string text)
    {
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        await socket.ConnectAsync(new UnixDomainSocketEndPoint(Path.Combine(data, "control.sock")), Ending);
        await using var stream = new NetworkStream(socket);
        try
        {
            await stream.WriteAsync(Encoding.UTF8.GetBytes(text), Ending);
            using var reader = new StreamReader(stream);
            return await reader.ReadToEndAsync(Ending);
        }
        catch (IOException)
        {
            return ""; // it hung up with something unread
        }
    }

    private static JsonElement Parse(string json) => JsonDocument.Parse(json).RootElement;

    private static string[] Names(JsonElement element) => [.. element.EnumerateObject().Select(property => property.Name)];

    private static Task<string> ReadmeAsync()
    {
        string folder = AppContext.BaseDirectory;
        while (!File.Exists(Path.Combine(folder, "OrleansFs.sln")))
            folder = Path.GetDirectoryName(folder)!;
        return File.ReadAllTextAsync(Path.Combine(folder, "README.md"), Ending);
    }

    private async Task<string> MountAsync(string data)
    {
        string mountPoint = mounts.Scratch("mnt");
        await OrleansFsCommand.SucceedAsync("mount", "--data", data, mountPoint, "--background");
        return mountPoint;
    }
}
