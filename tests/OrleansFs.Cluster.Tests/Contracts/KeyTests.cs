using CsCheck;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Contracts;

public sealed class KeyTests
{
    private static readonly Gen<CopyName> Names =
        from first in Gen.Char["abcdefghijklmnopqrstuvwxyz0123456789"]
        from rest in Gen.String[Gen.Char["abcdefghijklmnopqrstuvwxyz0123456789-_."], 0, CopyName.MaxLength - 1]
        select CopyName.Parse(first + rest);

    [Fact]
    public void A_key_is_read_back_as_it_was_written()
    {
        Gen.Select(Names, Gen.Guid, Gen.ULong, Gen.Byte.Array[32]).Sample((copy, guid, number, hash) =>
        {
            var space = new NamespaceKey(new VolumeId(guid), copy);
            var file = new FileKey(new InodeNumber(number), copy);
            var block = new BlockKey(new BlockHash(hash), copy);
            var session = new SessionKey(new SessionId(guid), copy);
            var self = new CopyGrainKey(copy);
            return NamespaceKey.Parse(space.ToString()) == space && FileKey.Parse(file.ToString()) == file && BlockKey.Parse(block.ToString()) == block
                && SessionKey.Parse(session.ToString()) == session && CopyGrainKey.Parse(self.ToString()) == self;
        });
    }

    [Fact]
    public void Placement_reads_the_copy_in_any_key()
    {
        var copy = CopyName.Parse("nas.home_2");
        foreach (string key in (string[])[new FileKey(InodeNumber.Root, copy).ToString(), new BlockKey(BlockHash.Of([1]), copy).ToString(), new CopyGrainKey(copy).ToString()])
        {
            Assert.True(CopyKey.TryGetCopy(key, out var found));
            Assert.Equal(copy, found);
        }
    }

    [Theory]
    [InlineData("")]
    [InlineData("1")]
    [InlineData("1@")]
    [InlineData("@nas")]
    [InlineData("-1@nas")]
    [InlineData("1@NAS")]
    [InlineData("1@na s")]
    [InlineData("0x1@nas")]
    [InlineData("1 @nas")]
    public void What_is_no_key_of_a_file_is_refused(string key) => Assert.Throws<FormatException>(() => FileKey.Parse(key));

    [Fact]
    public void A_key_is_as_it_was_released()
    {
        var nas = CopyName.Parse("nas");
        Assert.Equal("1@nas", new FileKey(InodeNumber.Root, nas).ToString());
        Assert.Equal("00000000-0000-0000-0000-000000000001@nas", new NamespaceKey(VolumeId.Parse("00000000-0000-0000-0000-000000000001"), nas).ToString());
        Assert.Equal("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855@nas", new BlockKey(BlockHash.Of([]), nas).ToString());
        Assert.Equal("copy@nas", new CopyGrainKey(nas).ToString());
    }
}
