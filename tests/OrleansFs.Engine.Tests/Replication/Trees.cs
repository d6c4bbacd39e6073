using System.Globalization;
using System.Text;
using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Replication;

/// <summary>A whole tree as text: names, attributes, extended attributes, targets and the hashes of contents, to compare copies by.</summary>
internal static class Trees
{
    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public static async Task<string> DescribeAsync(LocalSession session)
    {
        var text = new StringBuilder();
        await DescribeAsync(session, InodeNumber.Root, "", text);
        return text.ToString();
    }

    private static async Task DescribeAsync(LocalSession session, InodeNumber number, string path, StringBuilder text)
    {
        var a = Require(await session.GetAttributesAsync(number, Cancellation), path);
        text.Append(CultureInfo.InvariantCulture, $"{path} {a.Inode} {a.Mode:x} {a.LinkCount} {a.Uid} {a.Gid} {a.Size} {a.AllocatedBytes} {a.ModifyTime.Nanoseconds} {a.ChangeTime.Nanoseconds} ");
        text.Append(Encoding.UTF8.GetString(Require(await session.ListXattrAsync(number, Cancellation), path).Span).Replace('\0', ',')).Append(' ');
        if (a.IsRegular)
        {
            byte[] content = new byte[a.Size];
            int read = Require(await session.ReadAsync(number, 0, content, Cancellation), path);
            text.Append(BlockHash.Of(content.AsSpan(0, read)));
        }
        else if (a.IsSymlink)
        {
            text.Append(Encoding.UTF8.GetString(Require(await session.ReadLinkAsync(number, Cancellation), path).Span));
        }
        text.Append('\n');
        if (!a.IsDirectory)
            return;
        var names = new Sink();
        Assert.Equal(Errno.None, (await session.ReadDirectoryAsync(number, 0, names, false, Cancellation)).Error);
        foreach (var (name, inode) in names.Entries.OrderBy(e => e.Name, StringComparer.Ordinal))
            await DescribeAsync(session, inode, $"{path}/{name}", text);
    }

    private static T Require<T>(FsResult<T> result, string path) => result.IsOk ? result.Value : throw new InvalidOperationException($"{path}: {result.Error}");

    private sealed class Sink : IDirectorySink
    {
        public List<(string Name, InodeNumber Inode)> Entries { get; } = [];

        public bool TryAdd(ReadOnlySpan<byte> name, InodeNumber inode, byte type, long cookie, Attributes? attributes)
        {
            string text = Encoding.UTF8.GetString(name);
            if (text is not ("." or ".."))
                Entries.Add((text, inode));
            return true;
        }
    }
}

/// <summary>Random work on a volume of a few directories and files, of which it knows nothing: whatever is refused is refused.</summary>
internal sealed class RandomTreeWork(Random random, LocalSession session, int blockSize)
{
    private static readonly Caller s_root = new(0, 0, 1, 0x12);

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    public async Task StepsAsync(int count)
    {
        for (int i = 0; i < count; i++)
            await StepAsync();
    }

    private async Task StepAsync()
    {
        var directory = await DirectoryAsync();
        byte[] name = Name();
        switch (random.Next(14))
        {
            case 0 or 1:
                await session.CreateAsync(directory, name, new NewInode { Mode = Mode.S_IFREG | 0x1A4 }, s_root, Cancellation);
                break;
            case 2:
                await session.CreateAsync(directory, name, new NewInode { Mode = Mode.S_IFDIR | 0x1ED }, s_root, Cancellation);
                break;
            case 3:
                await session.CreateAsync(directory, name, new NewInode { Mode = Mode.S_IFLNK | 0x1FF, SymlinkTarget = Name() }, s_root, Cancellation);
                break;
            case 4:
                await session.UnlinkAsync(directory, name, Cancellation);
                break;
            case 5:
                await session.RemoveDirectoryAsync(directory, name, Cancellation);
                break;
            case 6:
                await session.RenameAsync(directory, name, await DirectoryAsync(), Name(), random.Next(3) == 0 ? RenameFlags.Exchange : RenameFlags.None, s_root, Cancellation);
                break;
            case 7:
                if ((await session.LookupAsync(directory, name, Cancellation)).TryGet(out var linked, out _))
                    await session.LinkAsync(linked.Inode, await DirectoryAsync(), Name(), Cancellation);
                break;
            default:
                if ((await session.LookupAsync(directory, name, Cancellation)).TryGet(out var file, out _))
                    await ChangeAsync(file);
                break;
        }
    }

    private async Task ChangeAsync(Attributes file)
    {
        int offset = random.Next(12 * blockSize);
        switch (random.Next(8))
        {
            case 0:
                await session.SetAttributesAsync(file.Inode, new AttributeChange { Mask = AttributeMask.Mode, Mode = (uint)random.Next(0x200) }, s_root, Cancellation);
                break;
            case 1:
                await session.SetXattrAsync(file.Inode, Encoding.UTF8.GetBytes($"user.{random.Next(4)}"), Name(), XattrFlags.None, Cancellation);
                break;
            case 2 when file.IsRegular:
                await session.SetAttributesAsync(file.Inode, new AttributeChange { Mask = AttributeMask.Size, Size = offset }, s_root, Cancellation);
                break;
            case 3 when file.IsRegular:
                await session.AllocateAsync(file.Inode, AllocateMode.PunchHole | AllocateMode.KeepSize, offset, random.Next(1, 4 * blockSize), Cancellation);
                break;
            case 4 when file.IsRegular:
                await session.SyncAsync(file.Inode, false, Cancellation);
                break;
            default:
                byte[] data = new byte[random.Next(1, 3 * blockSize)];
                // Few different contents, so that blocks are shared, die and come back.
                Array.Fill(data, (byte)random.Next(1, 40));
                if (random.Next(2) == 0)
                    random.NextBytes(data);
                if (file.IsRegular)
                    await session.WriteAsync(file.Inode, random.Next(2) == 0 ? offset / blockSize * blockSize : offset, data, WriteFlags.None, Cancellation);
                break;
        }
    }

    private async Task<InodeNumber> DirectoryAsync()
    {
        var at = InodeNumber.Root;
        while (random.Next(3) > 0)
        {
            if (!(await session.LookupAsync(at, Name(), Cancellation)).TryGet(out var inner, out _) || !inner.IsDirectory)
                break;
            at = inner.Inode;
        }
        return at;
    }

    private byte[] Name() => Encoding.UTF8.GetBytes($"n{random.Next(8)}");
}
