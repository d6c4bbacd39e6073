using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client;

/// <summary>Writes of one file that go in one message: pieces at their places, or pieces that are appended as one run.</summary>
internal sealed class WriteBatch
{
    private readonly List<WritePiece> _pieces = [];
    private readonly ContentMemory _memory;
    private long _from = long.MaxValue;
    private long _end;

    /// <param name="memory">Where its buffer is from.</param>
    /// <param name="flags">How all of it is written.</param>
    /// <param name="first">Bytes of the first write.</param>
    /// <param name="begun">Now, as a timestamp.</param>
    public WriteBatch(ContentMemory memory, WriteFlags flags, int first, long begun)
    {
        _memory = memory;
        Begun = begun;
        Flags = flags;
        Buffer = memory.Rent(first);
    }

    public bool IsAppend => (Flags & WriteFlags.Append) != 0;

    public WriteFlags Flags { get; }

    /// <summary>When its first write came: whoever waits for it waits since then at most.</summary>
    public long Begun { get; }

    /// <summary>Whoever sends it wants the file on disk with it.</summary>
    public bool WantsSync { get; set; }

    /// <summary>It was answered, and the file is on disk with it.</summary>
    public bool IsSynced { get; set; }

    public int Bytes { get; private set; }

    /// <summary>How many times a delay has ended since its first write (<see cref="Limits.WriteDelay"/>).</summary>
    public int Delays { get; set; }

    public ContentBuffer Buffer { get; private set; }

    public WritePiece[] Pieces => [.. _pieces];

    public bool Fits(int length, WriteFlags flags) => flags == Flags && Bytes + length <= GrainInterfaces.Limits.MaxTransfer && _pieces.Count < GrainInterfaces.Limits.MaxPieces;

    public void Add(long offset, ReadOnlySpan<byte> data)
    {
        if (Buffer.Memory.Length - Bytes < data.Length)
            Grow(Bytes + data.Length);
        data.CopyTo(Buffer.Memory.Span[Bytes..]);
        Bytes += data.Length;
        if (!IsAppend && _pieces.Count > 0 && _pieces[^1] is var last && last.Offset + last.Length == offset)
            _pieces[^1] = last with { Length = last.Length + data.Length };
        else
            _pieces.Add(new WritePiece(offset, data.Length));
        (_from, _end) = (Math.Min(_from, offset), Math.Max(_end, offset + data.Length));
    }

    /// <summary>Whether the order of the two matters.</summary>
    public bool Meets(WriteBatch other) => IsAppend || other.IsAppend || (_from < other._end && other._from < _end);

    private void Grow(int needed)
    {
        var larger = _memory.Rent(Math.Max(needed, Math.Min(Buffer.Memory.Length * 2, GrainInterfaces.Limits.MaxTransfer)));
        Buffer.Memory[..Bytes].CopyTo(larger.Memory);
        _memory.Return(Buffer, isLent: false);
        Buffer = larger;
    }
}
