using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Text.Json;
using System.Text.Json.Serialization;
using OrleansFs.Model;

namespace OrleansFs.Mount;

/// <summary>
/// Where the blocks of an open file are, and where they are to be, asked through the file itself: on any mount, of any copy, by whoever may open it. The requests of <c>orleansfs why</c>, <c>pin</c>, <c>unpin</c>,
/// <c>warm</c> and <c>evict</c>.
/// </summary>
/// <remarks>
/// Who may open a file may ask why, and may warm it: that does no more than reading does. Pinning takes room from others, and evicting makes them wait: these are for the file's owner and for root, as chmod(2) is.
/// </remarks>
public static class ResidencyIoctl
{
    /// <summary>_IOR('o', 1, char[8192]): the <see cref="FileResidency"/> as JSON in UTF-8; ioctl(2) returns its length.</summary>
    public const uint Why = 0xA0006F01;

    /// <summary>_IOWR('o', 2, char[48]): see <see cref="ChangeSize"/>.</summary>
    public const uint Change = 0xC0306F02;

    /// <summary>Bytes of the answer to <see cref="Why"/>, at most: room for 100 replicas.</summary>
    public const int WhySize = 8192;

    /// <summary>action 8 + offset 8 + length 8 in, blocks 8 + changed 8 + staying 8 out; all little-endian.</summary>
    public const int ChangeSize = 48;

    private const int AnswerAt = 24;

    /// <summary>Writes a request for <see cref="Change"/>.</summary>
    public static void WriteRequest(Span<byte> argument, ResidencyAction action, long offset, long length)
    {
        BinaryPrimitives.WriteInt64LittleEndian(argument, (long)action);
        BinaryPrimitives.WriteInt64LittleEndian(argument[8..], offset);
        BinaryPrimitives.WriteInt64LittleEndian(argument[16..], length);
    }

    /// <summary>Reads the answer to <see cref="Change"/>.</summary>
    public static ResidencyChange ReadAnswer(ReadOnlySpan<byte> argument) => new()
    {
        Blocks = BinaryPrimitives.ReadInt64LittleEndian(argument[AnswerAt..]),
        Changed = BinaryPrimitives.ReadInt64LittleEndian(argument[(AnswerAt + 8)..]),
        Staying = BinaryPrimitives.ReadInt64LittleEndian(argument[(AnswerAt + 16)..]),
    };

    /// <summary>Reads the answer to <see cref="Why"/>.</summary>
    /// <exception cref="JsonException">It is no answer.</exception>
    public static FileResidency ReadWhy(ReadOnlySpan<byte> answer) => JsonSerializer.Deserialize(answer, ResidencyJson.Default.FileResidency);

    internal static bool TryReadRequest(ReadOnlySpan<byte> argument, out ResidencyAction action, out long offset, out long length)
    {
        (action, offset, length) = (default, 0, 0);
        if (argument.Length < AnswerAt)
            return false;
        action = (ResidencyAction)BinaryPrimitives.ReadInt64LittleEndian(argument);
        offset = BinaryPrimitives.ReadInt64LittleEndian(argument[8..]);
        length = BinaryPrimitives.ReadInt64LittleEndian(argument[16..]);
        return Enum.IsDefined(action);
    }

    internal static void WriteAnswer(Span<byte> destination, ReadOnlySpan<byte> request, in ResidencyChange change)
    {
        request[..AnswerAt].CopyTo(destination);
        BinaryPrimitives.WriteInt64LittleEndian(destination[AnswerAt..], change.Blocks);
        BinaryPrimitives.WriteInt64LittleEndian(destination[(AnswerAt + 8)..], change.Changed);
        BinaryPrimitives.WriteInt64LittleEndian(destination[(AnswerAt + 16)..], change.Staying);
    }

    internal static byte[] WriteWhy(in FileResidency residency) => JsonSerializer.SerializeToUtf8Bytes(residency, ResidencyJson.Default.FileResidency);
}

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(FileResidency))]
internal sealed partial class ResidencyJson : JsonSerializerContext;
