using Orleans;

namespace OrleansFs.Model;

/// <summary>One record of an append-only file: what one write has appended.</summary>
[GenerateSerializer, Immutable, Alias("ofs.RecordInfo")]
public readonly record struct RecordInfo
{
    /// <summary>The site that appended it: the top 16 bits of the inode numbers made there. Its records are one segment of the file.</summary>
    [Id(0)] public required ushort Site { get; init; }

    /// <summary>Its place in the segment, from 0, without a gap.</summary>
    [Id(1)] public required long Sequence { get; init; }

    /// <summary>Its first byte in the file.</summary>
    [Id(2)] public required long Offset { get; init; }

    /// <summary>Bytes, at least 1.</summary>
    [Id(3)] public required long Length { get; init; }

    /// <summary>The mutation that made it.</summary>
    [Id(4)] public required Lsn Lsn { get; init; }

    /// <summary>When it was appended, by the clock of its site, which never goes back.</summary>
    [Id(5)] public required Timestamp Time { get; init; }
}

/// <summary>Names one append of a writer, so that it happens once however often it is asked for, also where the copy was started anew in between.</summary>
[GenerateSerializer, Immutable, Alias("ofs.AppendName")]
public readonly record struct AppendName
{
    /// <summary>Who appends. It has one append to a file under way at a time.</summary>
    [Id(0)] public required Guid Writer { get; init; }

    /// <summary>Which of its appends: 1 and growing.</summary>
    [Id(1)] public required long Number { get; init; }

    /// <summary>It may have been asked for before.</summary>
    [Id(2)] public bool IsRepeated { get; init; }
}

/// <summary>The records of append-only files. Reading them is reading the file; this says where they begin and end.</summary>
public interface IRecordAccess
{
    /// <summary>
    /// Appends one record: never interleaved with another, never split, entirely or not at all. When it is answered it survives a kill of the copy's process; <paramref name="durable"/>: a loss of power too.
    /// <c>EPERM</c> where the file is not append-only, <c>EINVAL</c> for no data, <c>EMSGSIZE</c> for more than <see cref="RecordLimits.MaxRecord"/>, <c>ESTALE</c> for an append older than the writer's newest.
    /// </summary>
    ValueTask<FsResult<RecordInfo>> AppendAsync(InodeNumber inode, ReadOnlyMemory<byte> data, AppendName? name, bool durable, CancellationToken cancellation);

    /// <summary>The records of a segment from one on, at most so many; none where there is none yet. <c>ESTALE</c> for one past the next that will be appended: the file was begun anew.</summary>
    ValueTask<FsResult<RecordInfo[]>> ListRecordsAsync(InodeNumber inode, long from, int max, CancellationToken cancellation);

    /// <summary>Completes when the segment has that record, or the cancellation comes: <c>EINTR</c>.</summary>
    ValueTask<FsResult> WaitForRecordAsync(InodeNumber inode, long sequence, CancellationToken cancellation);
}

/// <summary>The bounds of records.</summary>
public static class RecordLimits
{
    /// <summary>The longest record, bytes: what the kernel gives to a FUSE server in one piece wherever it lies in a program's memory, 1 MiB less a page. A longer write(2) would come in pieces, between which others may come.</summary>
    public const int MaxRecord = (1 << 20) - 4096;

    /// <summary>Records in one answer: some 40 KiB.</summary>
    public const int MaxListed = 1024;
}
