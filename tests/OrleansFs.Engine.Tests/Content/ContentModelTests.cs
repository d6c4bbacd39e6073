using System.Globalization;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Engine.Tests.Content;

/// <summary>Random operations on a few files against byte arrays: what a file holds is what the arrays say, at any moment, after settling, and after reopening.</summary>
public sealed class ContentModelTests(ITestOutputHelper output)
{
    private const int S = 4096;
    private const int Files = 3;
    private const int MaxSize = 20 * S;

    private static CancellationToken Cancellation => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData(1500, 0)]
    [InlineData(1500, 1)]
    [InlineData(1500, 2)]
    [InlineData(1500, 3)]
    public async Task Files_hold_what_the_model_says(int steps, int run)
    {
        int seed = Environment.GetEnvironmentVariable("OFS_SEED") is { } given ? int.Parse(given, CultureInfo.InvariantCulture) : Random.Shared.Next();
        output.WriteLine($"OFS_SEED={seed} (run {run})");
        var random = new Random(seed + run);
        await using var volume = await VolumeFixture.CreateAsync(S);
        var inodes = new InodeNumber[Files];
        var model = new byte[Files][];
        for (int i = 0; i < Files; i++)
        {
            inodes[i] = await volume.CreateFileAsync($"f{i}");
            model[i] = [];
        }
        var history = new List<string>();
        for (int step = 0; step < steps; step++)
        {
            history.Add(await StepAsync(volume, random, inodes, model));
            int check = random.Next(Files);
            byte[] actual = await volume.ReadAllAsync(inodes[check]);
            if (!actual.AsSpan().SequenceEqual(model[check]))
            {
                int at = actual.AsSpan().CommonPrefixLength(model[check]);
                Assert.Fail($"seed {seed} run {run} step {step}: file {check} differs at {at} (block {at / S}): {actual.ElementAtOrDefault(at)} for {model[check].ElementAtOrDefault(at)}; "
                    + $"size {actual.Length}, expected {model[check].Length}. The last steps:\n{string.Join('\n', history.TakeLast(25))}");
            }
        }
        await volume.ReopenAsync();
        for (int i = 0; i < Files; i++)
        {
            byte[] actual = await volume.ReadAllAsync(inodes[i]);
            Assert.True(model[i].AsSpan().SequenceEqual(actual), $"seed {seed} run {run}: file {i} differs after reopening");
        }
    }

    private static async Task<string> StepAsync(VolumeFixture volume, Random random, InodeNumber[] inodes, byte[][] model)
    {
        int f = random.Next(Files);
        int offset = random.Next(MaxSize);
        int length = random.Next(1, random.Next(2) == 0 ? 300 : 5 * S);
        if (random.Next(3) == 0)
            (offset, length) = (offset / S * S, Math.Max(1, length / S) * S);
        switch (random.Next(12))
        {
            case 0 or 1 or 2 or 3:
                byte[] data = new byte[length];
                if (random.Next(4) != 0)
                    random.NextBytes(data);
                await volume.WriteAsync(inodes[f], offset, data);
                Grow(model, f, offset + length);
                data.CopyTo(model[f], offset);
                return $"write {f} {offset}+{length}";
            case 4:
                await volume.SetSizeAsync(inodes[f], offset);
                Array.Resize(ref model[f], offset);
                return $"truncate {f} {offset}";
            case 5 or 6:
                var mode = (AllocateMode[])[AllocateMode.PunchHole | AllocateMode.KeepSize, AllocateMode.ZeroRange, AllocateMode.ZeroRange | AllocateMode.KeepSize, AllocateMode.None];
                var chosen = mode[random.Next(4)];
                Assert.Equal(Errno.None, (await volume.Volume.AllocateAsync(inodes[f], chosen, offset, length, Cancellation)).Error);
                if ((chosen & AllocateMode.KeepSize) == 0)
                    Grow(model, f, offset + length);
                if (chosen != AllocateMode.None && offset < model[f].Length)
                    Array.Clear(model[f], offset, Math.Min(length, model[f].Length - offset));
                return $"{chosen} {f} {offset}+{length}";
            case 7 or 8:
                return await CopyAsync(volume, random, inodes, model, f, offset, length);
            case 9:
                await volume.SyncAsync(inodes[f]);
                return $"fsync {f}";
            case 10:
                Assert.Equal(Errno.None, (await volume.Volume.SyncAllAsync(Cancellation)).Error);
                return "syncfs";
            default:
                return await SeekAsync(volume, inodes, model, f, offset);
        }
    }

    private static async Task<string> CopyAsync(VolumeFixture volume, Random random, InodeNumber[] inodes, byte[][] model, int f, int offset, int length)
    {
        int g = random.Next(Files);
        int from = random.Next(MaxSize);
        if (offset % S == 0)
            from = from / S * S;
        if (f == g && from < offset + length && offset < from + length)
            return "nothing";
        var copied = await volume.Volume.CopyRangeAsync(inodes[g], from, inodes[f], offset, length, Cancellation);
        Assert.Equal(Errno.None, copied.Error);
        int n = (int)copied.Value;
        if (from >= model[g].Length)
            Assert.Equal(0, n);
        if (n > 0)
        {
            byte[] piece = model[g][from..(from + n)];
            Grow(model, f, offset + n);
            piece.CopyTo(model[f], offset);
        }
        return $"copy {g} {from} to {f} {offset}+{length} = {n}";
    }

    private static async Task<string> SeekAsync(VolumeFixture volume, InodeNumber[] inodes, byte[][] model, int f, int offset)
    {
        var data = await volume.Volume.SeekAsync(inodes[f], offset, SeekKind.Data, Cancellation);
        if (offset >= model[f].Length)
        {
            Assert.Equal(Errno.ENXIO, data.Error);
            return "seek past the end";
        }
        await RequireHoleAsync(volume, inodes[f], model[f], offset);
        if (data.IsOk)
        {
            // A block of zeros that is in flight is data; it is a hole when it is sealed, be it between the two questions.
            if (offset % 2 == 0)
                await volume.SyncAsync(inodes[f]);
            var hole = await volume.Volume.SeekAsync(inodes[f], data.Value, SeekKind.Hole, Cancellation);
            Assert.Equal(Errno.None, hole.Error);
            Assert.InRange(hole.Value, data.Value, model[f].Length);
            if (hole.Value < model[f].Length)
                await RequireHoleAsync(volume, inodes[f], model[f], (int)hole.Value);
            if (hole.Value == data.Value)
                RequireZeros(model[f], hole.Value, Math.Min((hole.Value / S + 1) * S, model[f].Length));
        }
        return $"seek {f} {offset}";
    }

    /// <summary>What lies before the data that is found from here on reads as zeros.</summary>
    private static async Task RequireHoleAsync(VolumeFixture volume, InodeNumber inode, byte[] content, int offset)
    {
        var data = await volume.Volume.SeekAsync(inode, offset, SeekKind.Data, Cancellation);
        RequireZeros(content, offset, data.IsOk ? data.Value : content.Length);
    }

    private static void RequireZeros(byte[] content, long offset, long end) =>
        Assert.True(content.AsSpan((int)offset, (int)(end - offset)).IndexOfAnyExcept((byte)0) < 0, $"data before {end} was not found from {offset}");

    private static void Grow(byte[][] model, int f, int size)
    {
        if (model[f].Length < size)
            Array.Resize(ref model[f], size);
    }
}
