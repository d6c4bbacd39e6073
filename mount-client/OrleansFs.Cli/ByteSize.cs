using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace OrleansFs.Cli;

/// <summary>Sizes as people write them: "128KiB", "256M", "10 GiB", "1.5TB", "4096".</summary>
internal static class ByteSize
{
    private static readonly SearchValues<char> s_number = SearchValues.Create("0123456789.");
    private static readonly string[] s_units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];

    /// <summary>Reads a size. K and KiB are 1024, KB is 1000; case does not matter.</summary>
    public static bool TryParse(string text, out long bytes, [NotNullWhen(false)] out string? error)
    {
        bytes = 0;
        error = null;
        string trimmed = text.Trim();
        int digits = trimmed.AsSpan().IndexOfAnyExcept(s_number);
        string number = digits < 0 ? trimmed : trimmed[..digits];
        string unit = digits < 0 ? "" : trimmed[digits..].Trim();
        if (!decimal.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out decimal value) || Factor(unit) is not { } factor)
        {
            error = $"'{text}' is not a size: write a number and a unit, as in 128KiB, 256MiB or 10GiB";
            return false;
        }
        if (value > long.MaxValue / factor)
        {
            error = $"'{text}' is more than there can be: 8EiB - 1";
            return false;
        }
        value *= factor;
        if (value != decimal.Truncate(value))
        {
            error = $"'{text}' is not a whole number of bytes";
            return false;
        }
        bytes = (long)value;
        return true;
    }

    /// <summary>Three digits and a binary unit: "1.50 GiB"; a whole number as it is: "64 KiB".</summary>
    public static string Format(long bytes)
    {
        int unit = 0;
        double value = bytes;
        while (value >= 1024 && unit < s_units.Length - 1)
        {
            value /= 1024;
            unit++;
        }
        string digits = value >= 100 || value == Math.Floor(value) ? "0" : value >= 10 ? "0.0" : "0.00";
        return string.Create(CultureInfo.InvariantCulture, $"{value.ToString(digits, CultureInfo.InvariantCulture)} {s_units[unit]}");
    }

    private static decimal? Factor(string unit)
    {
        string upper = unit.ToUpperInvariant();
        if (upper is "" or "B")
            return 1;
        int power = "KMGTPE".IndexOf(upper[0], StringComparison.Ordinal) + 1;
        if (power == 0)
            return null;
        decimal step = upper[1..] switch { "" or "IB" => 1024, "B" => 1000, _ => 0 };
        if (step == 0)
            return null;
        decimal factor = 1;
        for (int i = 0; i < power; i++)
            factor *= step;
        return factor;
    }
}
