using System.Buffers.Binary;
using System.Security.Cryptography;

namespace OrleansFs.GrainInterfaces;

/// <summary>
/// What the processes of a cluster say to each other, as a number that both ends compare: equal where both were built of the same <c>Contracts.txt</c>, which lists every grain call and everything that is in one. Orleans leaves out
/// what one end does not know, and would so do half of what was asked for.
/// </summary>
public static class Contract
{
    /// <summary>The first 8 bytes of the SHA-256 of <c>Contracts.txt</c>. A process that is older than this check says 0.</summary>
    public static ulong Id { get; } = Compute();

    /// <summary>One line for who has to do something about it; null where both understand each other.</summary>
    /// <param name="other">Who is at the other end, such as "the copy 'nas'".</param>
    /// <param name="id">What it says.</param>
    public static string? Mismatch(string other, ulong id) => id == Id
        ? null
        : $"{other} runs another version of OrleansFs (its contract is {(id == 0 ? "older" : $"{id:x16}")}, here it is {Id:x16}): install the same version on all machines of the cluster";

    private static ulong Compute()
    {
        using var text = typeof(Contract).Assembly.GetManifestResourceStream("Contracts.txt") ?? throw new InvalidOperationException("the contract is not in the assembly");
        return BinaryPrimitives.ReadUInt64BigEndian(SHA256.HashData(text));
    }
}
