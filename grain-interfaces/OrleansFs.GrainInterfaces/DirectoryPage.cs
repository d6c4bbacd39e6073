using Orleans;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>A run of directory entries in cookie order. Names lie end to end in one array, so that a page is three objects however many entries it has.</summary>
[GenerateSerializer, Immutable, Alias("ofs.DirectoryPage")]
public readonly record struct DirectoryPage
{
    /// <summary>At most <see cref="Limits.MaxDirectoryEntries"/>; fewer than were asked for only at the end of the directory.</summary>
    [Id(0)] public required DirectoryRow[] Rows { get; init; }

    /// <summary>The bytes of all names.</summary>
    [Id(1)] public required byte[] Names { get; init; }

    /// <summary>One for each row where attributes were asked for; an entry whose attributes could not be had has <see cref="InodeNumber"/> 0. Otherwise null.</summary>
    [Id(2)] public required Attributes[]? Attributes { get; init; }

    /// <summary>The directory has no more entries.</summary>
    [Id(3)] public required bool IsLast { get; init; }
}

/// <summary>One entry of a <see cref="DirectoryPage"/>.</summary>
/// <param name="NameLength">How many bytes of <see cref="DirectoryPage.Names"/> are this entry's name, 1 to 255.</param>
/// <param name="Inode">The inode it names.</param>
/// <param name="Type">The <c>d_type</c>.</param>
/// <param name="Cookie">Where to go on after this entry.</param>
[GenerateSerializer, Immutable, Alias("ofs.DirectoryRow")]
public readonly record struct DirectoryRow(
    [property: Id(0)] byte NameLength, [property: Id(1)] InodeNumber Inode, [property: Id(2)] byte Type, [property: Id(3)] long Cookie);
