using System.Globalization;

namespace OrleansFs.Hosting;

/// <summary>Times as people write them: "30", "30s", "500ms", "2min", "1h", "14d".</summary>
public static class Duration
{
    /// <summary>The longest that is taken unless more is allowed: a day. A timer could not wait for ever longer.</summary>
    private static readonly TimeSpan s_longest = TimeSpan.FromDays(1);

    private static readonly (string Unit, TimeSpan Factor)[] s_units =
    [
        ("ms", TimeSpan.FromMilliseconds(1)), ("min", TimeSpan.FromMinutes(1)), ("m", TimeSpan.FromMinutes(1)), ("h", TimeSpan.FromHours(1)), ("d", TimeSpan.FromDays(1)), ("s", TimeSpan.FromSeconds(1)),
    ];

    /// <summary>Reads a time of zero to a day. A number without a unit is seconds.</summary>
    public static bool TryParse(string text, out TimeSpan time) => TryParse(text, s_longest, out time);

    /// <summary>Reads a time of zero to the longest that is allowed.</summary>
    public static bool TryParse(string text, TimeSpan longest, out TimeSpan time)
    {
        time = default;
        string number = text.Trim();
        var factor = TimeSpan.FromSeconds(1);
        foreach (var (unit, size) in s_units)
        {
            if (!number.EndsWith(unit, StringComparison.OrdinalIgnoreCase))
                continue;
            (number, factor) = (number[..^unit.Length].TrimEnd(), size);
            break;
        }
        if (!double.TryParse(number, NumberStyles.AllowDecimalPoint, CultureInfo.InvariantCulture, out double value) || value * factor.TotalSeconds > longest.TotalSeconds)
            return false;
        time = value * factor;
        return true;
    }
}
