using System.Text;
using OrleansFs.Client;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>
/// Changes names, one after the other, in a directory of its own, and knows what every one of them must be answered: an EEXIST or ENOENT that its own model does not have is a change that happened twice, or an answer
/// that was lost. Now and then it writes and appends.
/// </summary>
/// <param name="volume">Where it works.</param>
/// <param name="home">The directory.</param>
/// <param name="seed">Of what it chooses.</param>
/// <param name="gathers">Whether its writes are answered before the copy has them: then where an append went is not known yet.</param>
internal sealed class NameWorker(GrainVolumeAccess volume, InodeNumber home, int seed, bool gathers)
{
    private static readonly Caller s_me = new(0, 0, 1, 0x12);

    private readonly Random _random = new(seed);
    private readonly Dictionary<string, Node> _names = [];
    private int _made;

    private sealed record Node(InodeNumber Inode, bool IsDirectory)
    {
        public MemoryStream Content { get; } = new();

        public int Links { get; set; } = 1;
    }

    /// <summary>Changes made so far.</summary>
    public int Done { get; private set; }

    public async Task StepAsync(CancellationToken cancellation)
    {
        var (name, node) = _names.Count == 0 ? ("", null!) : _names.ElementAt(_random.Next(_names.Count)) is var pair ? (pair.Key, pair.Value) : default;
        switch (_names.Count < 5 ? 0 : _random.Next(10))
        {
            case 0 or 1:
                await CreateAsync(_random.Next(4) == 0, cancellation);
                break;
            case 2:
                await RemoveAsync(name, node, cancellation);
                break;
            case 3 or 4:
                await RenameAsync(name, node, cancellation);
                break;
            case 5 when !node.IsDirectory:
                await LinkAsync(name, node, cancellation);
                break;
            case 6 when !node.IsDirectory:
                await WriteAsync(node, cancellation);
                break;
            case 7 or 8 when !node.IsDirectory:
                await AppendAsync(node, cancellation);
                break;
            default:
                await AttributesAsync(name, node, cancellation);
                break;
        }
        Done++;
    }

    /// <summary>Everything is as it was answered, and there is nothing else.</summary>
    public async Task VerifyAsync(GrainVolumeAccess reader, CancellationToken cancellation)
    {
        var sink = new Names();
        Assert.True((await reader.ReadDirectoryAsync(home, 0, sink, false, cancellation)).IsOk);
        Assert.Equal(_names.Keys.Order(StringComparer.Ordinal), sink.Found.Order(StringComparer.Ordinal));
        foreach (var (name, node) in _names)
        {
            var found = await reader.LookupAsync(home, Encoding.UTF8.GetBytes(name), cancellation);
            Assert.Equal(node.Inode, found.Value.Inode);
            if (node.IsDirectory)
                continue;
            Assert.Equal((uint)node.Links, found.Value.LinkCount);
            byte[] back = new byte[node.Content.Length + 1];
            Assert.Equal(node.Content.Length, (await reader.ReadAsync(node.Inode, 0, back, cancellation)).Value);
            Assert.True(back.AsSpan(0, (int)node.Content.Length).SequenceEqual(node.Content.ToArray()), $"the content of {name}");
        }
    }

    private string NewName() => $"n{_made++}";

    private async Task CreateAsync(bool directory, CancellationToken cancellation)
    {
        string name = NewName();
        uint mode = directory ? Mode.S_IFDIR | 0x1ED : Mode.S_IFREG | 0x1A4;
        var made = await volume.CreateAsync(home, Encoding.UTF8.GetBytes(name), new NewInode { Mode = mode }, s_me, cancellation);
        Assert.True(made.IsOk, $"create {name}: {made}");
        _names.Add(name, new Node(made.Value.Inode, directory));
    }

    private async Task RemoveAsync(string name, Node node, CancellationToken cancellation)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(name);
        var removed = node.IsDirectory ? await volume.RemoveDirectoryAsync(home, bytes, cancellation) : await volume.UnlinkAsync(home, bytes, cancellation);
        Assert.True(removed.IsOk, $"remove {name}: {removed.Error}");
        _names.Remove(name);
        node.Links--;
    }

    private async Task RenameAsync(string name, Node node, CancellationToken cancellation)
    {
        // Onto a new name; or, of two files, onto the other.
        string to = NewName();
        if (!node.IsDirectory && _random.Next(3) == 0 && _names.FirstOrDefault(n => !n.Value.IsDirectory && n.Value != node) is { Key: { } other })
            to = other;
        var renamed = await volume.RenameAsync(home, Encoding.UTF8.GetBytes(name), home, Encoding.UTF8.GetBytes(to), RenameFlags.None, s_me, cancellation);
        Assert.True(renamed.IsOk, $"rename {name} {to}: {renamed.Error}");
        _names.Remove(name);
        if (_names.Remove(to, out var replaced))
            replaced.Links--;
        _names.Add(to, node);
    }

    private async Task LinkAsync(string name, Node node, CancellationToken cancellation)
    {
        string to = NewName();
        var linked = await volume.LinkAsync(node.Inode, home, Encoding.UTF8.GetBytes(to), cancellation);
        Assert.True(linked.IsOk, $"link {name} {to}: {linked}");
        node.Links++;
        _names.Add(to, node);
    }

    private async Task WriteAsync(Node node, CancellationToken cancellation)
    {
        byte[] data = Data();
        node.Content.Position = _random.Next(100_000);
        var written = await volume.WriteAsync(node.Inode, node.Content.Position, data, WriteFlags.None, cancellation);
        Assert.Equal(node.Content.Position, written.Value);
        node.Content.Write(data);
    }

    private async Task AppendAsync(Node node, CancellationToken cancellation)
    {
        byte[] data = Data();
        var written = await volume.WriteAsync(node.Inode, 0, data, WriteFlags.Append, cancellation);
        Assert.True(written.IsOk, $"append: {written}");
        Assert.True(gathers || written.Value == node.Content.Length);
        node.Content.Position = node.Content.Length;
        node.Content.Write(data);
    }

    private async Task AttributesAsync(string name, Node node, CancellationToken cancellation)
    {
        uint permissions = node.IsDirectory ? 0x1EDu : (uint)_random.Next(0x200);
        var changed = await volume.SetAttributesAsync(node.Inode, new AttributeChange { Mask = AttributeMask.Mode, Mode = permissions }, s_me, cancellation);
        Assert.True(changed.IsOk, $"chmod {name}: {changed}");
        Assert.Equal(permissions, changed.Value.Mode & Mode.PermissionMask);
    }

    private byte[] Data()
    {
        byte[] data = new byte[_random.Next(1, 50_000)];
        _random.NextBytes(data);
        return data;
    }

    private sealed class Names : IDirectorySink
    {
        public List<string> Found { get; } = [];

        public bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes)
        {
            if (!name.SequenceEqual("."u8) && !name.SequenceEqual(".."u8))
                Found.Add(Encoding.UTF8.GetString(name));
            return true;
        }
    }
}
