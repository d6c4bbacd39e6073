using System.Globalization;
using System.Text;

namespace PhotoEdits;

/// <summary>A picture in the simplest format there is: portable pixmap, binary, 3 bytes a pixel (ppm(5)).</summary>
internal sealed class Picture(int width, int height, byte[] pixels)
{
    public static Picture Read(byte[] file)
    {
        string[] head = Encoding.ASCII.GetString(file, 0, Math.Min(file.Length, 64)).Split([' ', '\n'], 5, StringSplitOptions.RemoveEmptyEntries);
        if (head.Length < 4 || head[0] != "P6" || head[3] != "255" || !int.TryParse(head[1], CultureInfo.InvariantCulture, out int width) || !int.TryParse(head[2], CultureInfo.InvariantCulture, out int height)
            || width < 1 || height < 1 || (long)width * height * 3 > file.Length)
        {
            throw new LibraryException("that is no picture: a PPM file of the form P6, of 255 levels, is wanted");
        }
        return new Picture(width, height, file[^(width * height * 3)..]);
    }

    public byte[] Write() => [.. Encoding.ASCII.GetBytes($"P6\n{width} {height}\n255\n"), .. pixels];

    public Picture Apply(Edit edit) => edit.Operation switch
    {
        "brighten" => new(width, height, [.. pixels.Select(p => (byte)Math.Clamp(p + edit.Value, 0, 255))]),
        "mirror" => Map(width, height, (x, y) => (width - 1 - x, y)),
        "rotate" => Map(height, width, (x, y) => (y, height - 1 - x)),
        _ => this, // of a newer version of this program: shown as far as it is understood
    };

    private Picture Map(int newWidth, int newHeight, Func<int, int, (int X, int Y)> from)
    {
        byte[] mapped = new byte[pixels.Length];
        for (int y = 0; y < newHeight; y++)
        {
            for (int x = 0; x < newWidth; x++)
            {
                var (sourceX, sourceY) = from(x, y);
                pixels.AsSpan((sourceY * width + sourceX) * 3, 3).CopyTo(mapped.AsSpan((y * newWidth + x) * 3));
            }
        }
        return new Picture(newWidth, newHeight, mapped);
    }
}
