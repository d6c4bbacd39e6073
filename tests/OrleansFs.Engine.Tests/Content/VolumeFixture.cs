using Microsoft.Extensions.Logging;
using Microsoft.Extensions.Logging.Abstractions;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>A volume in a folder of its own, which a test opens, uses, closes, and opens again.</summary>
internal sealed class VolumeFixture : IAsyncDisposable, IInodeHolder
{
    private readonly bool _ownsFolder;
    private readonly HashSet<InodeNumber> _held = [];
    private readonly Func<VolumeOptions, VolumeOptions> _configure;
    private readonly TimeProvider _time;

    private VolumeFixture(string folder, bool ownsFolder, VolumeCopy copy, Func<VolumeOptions, VolumeOptions> configure, TimeProvider time)
    {
        _configure = configure;
        _time = time;
        Folder = folder;
        _ownsFolder = ownsFolder;
        Copy = copy;
        Volume = copy.OpenSession(this);
    }

    public static Caller Root { get; } = new(0, 0, 1, 0);

    public string Folder { get; }

    public VolumeCopy Copy { get; private set; }

    public LocalSession Volume { get; private set; }

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static async Task<VolumeFixture> CreateAsync(int blockSize = 128 << 10, string? folder = null, long memory = 32 << 20, ILoggerFactory? loggers = null,
        Func<VolumeOptions, VolumeOptions>? configure = null, TimeProvider? time = null)
    {
        string path = folder ?? Directory.CreateTempSubdirectory("ofs-content-").FullName;
        configure ??= options => options;
        time ??= TimeProvider.System;
        var options = configure(new VolumeOptions { DataFolder = path, BlockSize = blockSize, Memory = memory });
        var copy = await VolumeCopy.OpenAsync(options, loggers ?? NullLoggerFactory.Instance, time, Cancellation);
        return new VolumeFixture(path, folder is null, copy, configure, time);
    }

    public async Task ReopenAsync()
    {
        await Copy.CloseAsync();
        Copy = await VolumeCopy.OpenAsync(_configure(new VolumeOptions { DataFolder = Folder, Memory = 32 << 20 }), NullLoggerFactory.Instance, _time, Cancellation);
        Volume = Copy.OpenSession(this);
    }

    /// <summary>What a SIGKILL at this moment would leave: the files as the kernel has them.</summary>
    public string CopyAsKilled() => KilledFolder.Copy(Folder, "ofs-killed-");

    public async Task<InodeNumber> CreateFileAsync(string name)
    {
        var made = await Volume.CreateAsync(InodeNumber.Root, System.Text.Encoding.UTF8.GetBytes(name), new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, Root, Cancellation);
        Assert.Equal(Errno.None, made.Error);
        return made.Value.Inode;
    }

    public async Task<InodeNumber> FindAsync(string name)
    {
        var found = await Volume.LookupAsync(InodeNumber.Root, System.Text.Encoding.UTF8.GetBytes(name), Cancellation);
        Assert.Equal(Errno.None, found.Error);
        return found.Value.Inode;
    }

    public async Task WriteAsync(InodeNumber inode, long offset, byte[] data)
    {
        var written = await Volume.WriteAsync(inode, offset, data, WriteFlags.None, Cancellation);
        Assert.Equal(Errno.None, written.Error);
    }

    public async Task<byte[]> ReadAllAsync(InodeNumber inode)
    {
        var attributes = await Volume.GetAttributesAsync(inode, Cancellation);
        byte[] content = new byte[attributes.Value.Size];
        var read = await Volume.ReadAsync(inode, 0, content, Cancellation);
        Assert.Equal(Errno.None, read.Error);
        Assert.Equal(content.Length, read.Value);
        return content;
    }

    public async Task SyncAsync(InodeNumber inode) => Assert.Equal(Errno.None, (await Volume.SyncAsync(inode, false, Cancellation)).Error);

    public async Task SetSizeAsync(InodeNumber inode, long size)
    {
        var result = await Volume.SetAttributesAsync(inode, new AttributeChange { Mask = AttributeMask.Size, Size = size }, Root, Cancellation);
        Assert.Equal(Errno.None, result.Error);
    }

    public async Task<VolumeStatus> StatusAsync() => (await Volume.GetStatusAsync(Cancellation)).Value;

    public void Hold(InodeNumber inode) => _held.Add(inode);

    public void LetGo(InodeNumber inode)
    {
        _held.Remove(inode);
        Volume.Forget(inode);
    }

    bool IInodeHolder.Holds(InodeNumber inode) => _held.Contains(inode);

    public async ValueTask DisposeAsync()
    {
        await Copy.CloseAsync();
        if (_ownsFolder)
            Directory.Delete(Folder, recursive: true);
    }
}
