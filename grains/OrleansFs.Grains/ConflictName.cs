using System.Globalization;
using System.Text;
using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>The name of a copy that is made of a file where two have changed it without knowing of each other: <c>name.conflict-WHO-TIME.ext</c>, the time UTC.</summary>
internal static class ConflictName
{
    private const int MaxName = 255;

    /// <summary>Bytes of the name of who it was: a host and a short path.</summary>
    private const int MaxWho = 64;

    /// <summary>An extension is so long at most, with its dot; what is longer is part of the name.</summary>
    private const int MaxExtension = 16;

    /// <param name="name">The name of the file.</param>
    /// <param name="who">Whose changes the copy has.</param>
    /// <param name="since">From when on.</param>
    public static byte[] Of(ReadOnlySpan<byte> name, string who, Timestamp since)
    {
        int dot = name.LastIndexOf((byte)'.');
        int stem = dot > 0 && name.Length - dot <= MaxExtension ? dot : name.Length;
        string safe = string.Concat(who.Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' ? c : '-'));
        byte[] middle = Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $".conflict-{safe[..Math.Min(safe.Length, MaxWho)]}-{since.ToDateTimeOffset().UtcDateTime:yyyyMMdd-HHmmss}"));
        int room = MaxName - middle.Length - (name.Length - stem);
        return [.. name[..Math.Min(stem, room)], .. middle, .. name[stem..]];
    }
}
