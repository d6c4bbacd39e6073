using System.Globalization;
using Orleans;

namespace OrleansFs.Model;

/// <summary>An inode number of a volume. It only grows and is never reused; the top 16 bits are the site that made it.</summary>
/// <remarks>Not the kernel's nodeid, which is a mount's own.</remarks>
[GenerateSerializer, Immutable, Alias("ofs.InodeNumber")]
public readonly record struct InodeNumber([property: Id(0)] ulong Value) : IComparable<InodeNumber>
{
    /// <summary>The root directory of every volume.</summary>
    public static readonly InodeNumber Root = new(1);

    /// <summary>How many low bits count inodes within one site.</summary>
    public const int SiteShift = 48;

    /// <summary>No site has this number: inode numbers that begin with it are a mount's own, for what is in no volume.</summary>
    public const ushort NoSite = 0xFFFF;

    /// <summary>Whether the number is a mount's own.</summary>
    public bool IsOfMount => Value >> SiteShift == NoSite;

    public int CompareTo(InodeNumber other) => Value.CompareTo(other.Value);

    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>A position in a volume's journal: the number of mutations up to and including it. Starts at 0, "before everything".</summary>
[GenerateSerializer, Immutable, Alias("ofs.Lsn")]
public readonly record struct Lsn([property: Id(0)] long Value) : IComparable<Lsn>
{
    public static readonly Lsn Zero = new(0);

    public int CompareTo(Lsn other) => Value.CompareTo(other.Value);

    public static bool operator <(Lsn a, Lsn b) => a.Value < b.Value;

    public static bool operator >(Lsn a, Lsn b) => a.Value > b.Value;

    public static bool operator <=(Lsn a, Lsn b) => a.Value <= b.Value;

    public static bool operator >=(Lsn a, Lsn b) => a.Value >= b.Value;

    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>Fences masters: a copy accepts a master only if its epoch is at least the highest it has seen.</summary>
[GenerateSerializer, Immutable, Alias("ofs.Epoch")]
public readonly record struct Epoch([property: Id(0)] long Value)
{
    public override string ToString() => Value.ToString(CultureInfo.InvariantCulture);
}

/// <summary>The identity of a volume, made with it and never changed.</summary>
[GenerateSerializer, Immutable, Alias("ofs.VolumeId")]
public readonly record struct VolumeId([property: Id(0)] Guid Value)
{
    public static VolumeId New() => new(Guid.NewGuid());

    public static VolumeId Parse(string text) => new(Guid.ParseExact(text, "D"));

    public override string ToString() => Value.ToString("D");
}

/// <summary>The name of a copy, which is the name of the silo that serves it: 1 to 63 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit.</summary>
[GenerateSerializer, Immutable, Alias("ofs.CopyName")]
public readonly record struct CopyName
{
    public const int MaxLength = 63;

    [Id(0)]
    private readonly string? _value;

    private CopyName(string value) => _value = value;

    public string Value => _value ?? "";

    public static bool TryParse(string? text, out CopyName name)
    {
        bool good = text is { Length: > 0 and <= MaxLength } && char.IsAsciiLetterOrDigit(text[0])
            && text.All(c => char.IsAsciiLetterLower(c) || char.IsAsciiDigit(c) || c is '-' or '_' or '.');
        name = good ? new CopyName(text!) : default;
        return good;
    }

    public static CopyName Parse(string text) =>
        TryParse(text, out var name) ? name : throw new FormatException($"'{text}' is not a copy name: 1 to 63 of a-z, 0-9, '-', '_' and '.', beginning with a letter or digit");

    public override string ToString() => Value;
}
