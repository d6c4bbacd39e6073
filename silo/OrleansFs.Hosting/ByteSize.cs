using System.Globalization;

namespace OrleansFs.Hosting;

/// <summary>Sizes as people write them: "4096", "128KiB", "10GiB". Powers of 1024 only; "K", "KB" and the like mean the same.</summary>
public static class ByteSize
{
    private const string Units = "KMGTP";

    public static bool TryParse(string text, out long bytes)
    {
        bytes = 0;
        var number = text.AsSpan().Trim();
        int shift = 0;
        if (number.EndsWith("iB", StringComparison.OrdinalIgnoreCase))
            number = number[..^2];
        else if (number.EndsWith("B", StringComparison.OrdinalIgnoreCase))
            number = number[..^1];
        if (number.Length > 0 && Units.IndexOf(char.ToUpperInvariant(number[^1]), StringComparison.Ordinal) is >= 0 and var unit)
        {
            shift = 10 * (unit + 1);
            number = number[..^1];
        }
        if (!long.TryParse(number, NumberStyles.None, CultureInfo.InvariantCulture, out long value) || value > long.MaxValue >> shift)
            return false;
        bytes = value << shift;
        return true;
    }
}
