namespace OrleansFs.Fault.Tests.Machine;

/// <summary>A loop device with a file system on it, mounted.</summary>
internal sealed class LoopDevice : IAsyncDisposable
{
    private readonly string _device;
    private bool _mounted;
    private bool _attached = true;

    private LoopDevice(string device, string mountPoint)
    {
        _device = device;
        MountPoint = mountPoint;
    }

    public string MountPoint { get; }

    /// <summary>Puts a device over a file, past the page cache: what the file system on it writes arrives as it was sent.</summary>
    public static async Task<LoopDevice> AttachAsync(string file, string mountPoint)
    {
        string device = (await Tool.RunAsync("losetup", "--find", "--show", "--direct-io=on", file)).Trim();
        return new LoopDevice(device, mountPoint);
    }

    /// <summary>A new disk of a size, formatted and mounted.</summary>
    public static async Task<LoopDevice> MakeAsync(Scratch scratch, long bytes)
    {
        string file = scratch.File("disk.img");
        await using (var image = File.Create(file))
            image.SetLength(bytes);
        var disk = await AttachAsync(file, scratch.Folder("disk"));
        await disk.FormatAsync();
        await disk.MountAsync();
        return disk;
    }

    /// <summary>Loop devices whose files lie under a folder.</summary>
    public static async Task<IReadOnlyList<string>> UnderAsync(string folder)
    {
        if (!Environment.IsPrivilegedProcess || !Tool.Exists("losetup"))
            return [];
        string list = await Tool.RunAsync("losetup", "--list", "--noheadings", "--raw", "--output", "NAME,BACK-FILE");
        return [.. list.Split('\n').Select(line => line.Split(' ', 2)).Where(p => p.Length == 2 && p[1].StartsWith(folder + "/", StringComparison.Ordinal)).Select(p => p[0])];
    }

    /// <summary>A journaling file system, as users have it; nothing of its making is left to do in the background.</summary>
    public Task FormatAsync() => Tool.RunAsync("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", "-J", "size=8", _device);

    public async Task MountAsync()
    {
        await Tool.RunAsync("mount", "-t", "ext4", _device, MountPoint);
        _mounted = true;
    }

    /// <summary>Another program writes to the disk until there is no room, and then gives so many bytes back.</summary>
    /// <remarks>What statfs(2) shows as free says less: ext4 keeps some of it for itself.</remarks>
    public void FillUpTo(long leave)
    {
        using var file = File.OpenHandle(Filler, FileMode.OpenOrCreate, FileAccess.Write);
        byte[] piece = new byte[4 << 20];
        for (int n = piece.Length; n >= 4096;)
        {
            try
            {
                RandomAccess.Write(file, piece.AsSpan(0, n), RandomAccess.GetLength(file));
                RandomAccess.FlushToDisk(file);
            }
            catch (IOException)
            {
                n /= 2;
            }
        }
        RandomAccess.SetLength(file, Math.Max(0, RandomAccess.GetLength(file) - leave));
        RandomAccess.FlushToDisk(file);
    }

    /// <summary>It deletes what it wrote.</summary>
    public void MakeRoom() => File.Delete(Filler);

    private string Filler => Path.Combine(MountPoint, "filler");

    /// <summary>Everything is written, and the device is gone.</summary>
    public async Task DetachAsync()
    {
        if (_mounted)
            await Tool.RunAsync("umount", MountPoint);
        _mounted = false;
        await Tool.RunAsync("losetup", "--detach", _device);
        _attached = false;
    }

    /// <summary>Lets go, whatever is lost.</summary>
    public ValueTask DisposeAsync() => AftermathAttribute.OfAsync(async () =>
    {
        if (_mounted)
            await Tool.TryRunAsync("/bin/umount", Limits.Tool, "--lazy", MountPoint);
        _mounted = false;
        if (_attached)
            await Tool.TryRunAsync("/sbin/losetup", Limits.Tool, "--detach", _device);
        _attached = false;
    });
}
