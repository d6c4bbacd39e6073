namespace OrleansFs.Engine.Tests.Delta;

/// <summary>Two blocks with one weak checksum. They differ by a short vector of the lattice of all d with d[0] + d[1]·B + … + d[8]·B^8 = 0 modulo p, found by the algorithm of Lenstra, Lenstra and Lovász.</summary>
internal static class WeakCollision
{
    private static readonly int[] s_differences = [33, -50, 3, -33, 5, 4, 26, -45, -23];

    public static (byte[] One, byte[] Two) Blocks(int length)
    {
        byte[] one = new byte[length];
        new Random(17).NextBytes(one);
        byte[] two = [.. one];
        for (int i = 0; i < s_differences.Length; i++)
        {
            one[length - 1 - i] = 100;
            two[length - 1 - i] = (byte)(100 + s_differences[i]);
        }
        return (one, two);
    }
}
