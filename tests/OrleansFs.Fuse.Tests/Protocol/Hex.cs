using System.Globalization;

namespace OrleansFs.Fuse.Tests.Protocol;

/// <summary>Annotated hex: bytes in pairs, spaces as one likes, a comment from # to the end of the line, "text" for its bytes.</summary>
internal static class Hex
{
    internal static byte[] Parse(string text)
    {
        List<byte> bytes = [];
        foreach (string line in text.Split('\n'))
        {
            string code = line.Split('#')[0];
            string[] parts = code.Split('"');
            for (int i = 0; i < parts.Length; i++)
            {
                if (i % 2 == 1)
                    bytes.AddRange(System.Text.Encoding.Latin1.GetBytes(parts[i]));
                else
                    AddPairs(bytes, parts[i]);
            }
        }
        return [.. bytes];
    }

    private static void AddPairs(List<byte> bytes, string code)
    {
        string digits = string.Concat(code.Where(c => !char.IsWhiteSpace(c)));
        if (digits.Length % 2 != 0)
            throw new FormatException($"half a byte in: {code}");
        for (int i = 0; i < digits.Length; i += 2)
            bytes.Add(byte.Parse(digits.AsSpan(i, 2), NumberStyles.HexNumber, CultureInfo.InvariantCulture));
    }
}
