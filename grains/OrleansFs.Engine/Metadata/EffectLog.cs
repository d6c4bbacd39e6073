using System.Buffers.Binary;
using System.IO.Hashing;
using System.Text;
using Microsoft.Extensions.Logging;
using Microsoft.Win32.SafeHandles;
using OrleansFs.Model;

namespace OrleansFs.Engine.Metadata;

/// <summary>The commit that a database, or a log, is at: its newest mutation, and the volume's clock, which no two histories share.</summary>
internal readonly record struct CommitPoint(Lsn Lsn, Timestamp Clock);

/// <summary>A record that was found in the log.</summary>
/// <param name="Effects">As <see cref="EffectWriter.Written"/> had them.</param>
/// <param name="State">The volume's row after them.</param>
/// <param name="AreBlocksSynced">Whether all blocks that they name are on disk.</param>
internal readonly record struct EffectRecord(ReadOnlyMemory<byte> Effects, VolumeState State, bool AreBlocksSynced);

/// <summary>
/// The effect log: what the open transaction has, in a file beside meta.db, for a process that is killed before it commits. One write to the page cache in place of a commit of SQLite, which writes ten pages and more.
/// </summary>
/// <remarks>
/// <para>It is never synced: what is to survive a loss of power is committed and synced as before. The records follow on one commit of meta.db, and are void with the next; their place is then used again.</para>
/// <code>
///     0   magic "OFSe"     4
///     4   format 1         1
///     5   effects version  1   of <see cref="EffectWriter"/>
///     6   flags            2   1: names blocks that may not be on disk
///     8   checksum         8   XXH3 of all that follows. Its seed is the checksum of the record before; of the first one, the volume's
///     16  base LSN         8   the commit that the log follows on
///     24  base clock       8
///     32  boot             16  of the system (random/boot_id of proc(5))
///     48  effects          4   bytes
///     52  state            4   bytes
///     56  effects, then one <see cref="EffectKind.PutState"/>
/// </code>
/// <para>All numbers little-endian. Blocks that a transaction names are synced before it is committed, not before it is logged: after a kill they are in the page cache, after a loss of power they may be gone. So a
/// record with flag 1 counts only in the boot of the system that it was written in.</para>
/// </remarks>
/// <param name="folder">Where it is; nothing is made before something is logged.</param>
/// <param name="volume">Whose it is.</param>
/// <param name="bytes">What it may take on disk.</param>
/// <param name="logger">Told when a record cannot be written.</param>
/// <param name="boot">What this boot of the system is called; the kernel's name for it by default.</param>
internal sealed class EffectLog(string folder, VolumeId volume, long bytes, ILogger logger, Guid? boot = null) : IDisposable
{
    public const string FileName = "effects.log";

    private const int HeadBytes = 56;
    private const int CoveredFrom = 16;
    private const uint Magic = 0x6553464F;
    private const byte Format = 1;
    private const ushort MayLackBlocks = 1;

    private static readonly Guid ThisBoot = ReadBoot();

    private readonly Guid _boot = boot ?? ThisBoot;
    private readonly ulong _firstSeed = XxHash3.HashToUInt64(Encoding.ASCII.GetBytes(volume.ToString()));
    private readonly EffectWriter _state = new();
    private byte[] _record = new byte[4096];
    private SafeFileHandle? _file;
    private CommitPoint _base;
    private ulong _seed;
    private long _end;
    private bool _isRefused;

    /// <summary>What is in it is committed, and void: it follows on another commit now.</summary>
    public void Begin(CommitPoint at) => (_base, _end, _seed) = (at, 0, _firstSeed);

    /// <summary>Logs what the open transaction has come to have. False where there is no room, or it cannot be written: then it is to be committed instead.</summary>
    /// <param name="effects">Those after the ones logged before.</param>
    /// <param name="state">The volume's row after them.</param>
    /// <param name="areBlocksSynced">Whether all blocks that they name are on disk.</param>
    public bool TryAppend(ReadOnlySpan<byte> effects, in VolumeState state, bool areBlocksSynced)
    {
        _state.Clear();
        _state.PutState(state);
        int length = HeadBytes + effects.Length + _state.Length;
        if (length > bytes - _end)
            return false;
        if (_record.Length < length)
            _record = new byte[Math.Max(length, 2 * _record.Length)];
        var record = _record.AsSpan(0, length);
        BinaryPrimitives.WriteUInt32LittleEndian(record, Magic);
        (record[4], record[5]) = (Format, EffectWriter.Version);
        BinaryPrimitives.WriteUInt16LittleEndian(record[6..], areBlocksSynced ? (ushort)0 : MayLackBlocks);
        BinaryPrimitives.WriteInt64LittleEndian(record[16..], _base.Lsn.Value);
        BinaryPrimitives.WriteInt64LittleEndian(record[24..], _base.Clock.Nanoseconds);
        _boot.TryWriteBytes(record[32..]);
        BinaryPrimitives.WriteInt32LittleEndian(record[48..], effects.Length);
        BinaryPrimitives.WriteInt32LittleEndian(record[52..], _state.Length);
        effects.CopyTo(record[HeadBytes..]);
        _state.Written.CopyTo(record[(HeadBytes + effects.Length)..]);
        ulong checksum = XxHash3.HashToUInt64(record[CoveredFrom..], (long)_seed);
        BinaryPrimitives.WriteUInt64LittleEndian(record[8..], checksum);
        try
        {
            _file ??= File.OpenHandle(Path.Combine(folder, FileName), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.ReadWrite | FileShare.Delete);
            RandomAccess.Write(_file, record, _end);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            if (!_isRefused)
                logger.LogWarning(e, "{File} cannot be written; each change is committed by itself until it can", FileName);
            _isRefused = true;
            return false;
        }
        _isRefused = false;
        (_end, _seed) = (_end + length, checksum);
        return true;
    }

    /// <summary>What follows on a commit, up to what is torn, is of another commit, or names blocks that a loss of power may have taken.</summary>
    /// <exception cref="IOException">It cannot be read.</exception>
    public IReadOnlyList<EffectRecord> Read(CommitPoint after)
    {
        string path = Path.Combine(folder, FileName);
        var records = new List<EffectRecord>();
        if (!File.Exists(path))
            return records;
        ReadOnlyMemory<byte> rest = File.ReadAllBytes(path);
        ulong seed = _firstSeed;
        while (rest.Length >= HeadBytes)
        {
            var head = rest.Span;
            int effects = BinaryPrimitives.ReadInt32LittleEndian(head[48..]), state = BinaryPrimitives.ReadInt32LittleEndian(head[52..]);
            if (BinaryPrimitives.ReadUInt32LittleEndian(head) != Magic || head[4] != Format || effects < 0 || state < 0 || (long)HeadBytes + effects + state > rest.Length)
                break;
            int length = HeadBytes + effects + state;
            ulong checksum = XxHash3.HashToUInt64(head[CoveredFrom..length], (long)seed);
            if (checksum != BinaryPrimitives.ReadUInt64LittleEndian(head[8..]) || BinaryPrimitives.ReadInt64LittleEndian(head[16..]) != after.Lsn.Value || BinaryPrimitives.ReadInt64LittleEndian(head[24..]) != after.Clock.Nanoseconds)
                break;
            bool mayLack = (BinaryPrimitives.ReadUInt16LittleEndian(head[6..]) & MayLackBlocks) != 0;
            if (mayLack && (_boot == Guid.Empty || new Guid(head[32..48]) != _boot))
                break;
            if (head[5] is < 1 or > EffectWriter.Version)
                throw new NotAVolumeException($"{path} is of a newer program: start that one");
            var reader = new EffectReader(head[(HeadBytes + effects)..length]);
            reader.Kind();
            records.Add(new EffectRecord(rest.Slice(HeadBytes, effects), reader.State(), !mayLack));
            (rest, seed) = (rest[length..], checksum);
        }
        return records;
    }

    /// <summary>Takes it away: it is another copy's, or of a state that is no more.</summary>
    public static void Delete(string folder) => File.Delete(Path.Combine(folder, FileName));

    public void Dispose() => _file?.Dispose();

    /// <summary>None where it cannot be read: then nothing is taken to be of this boot.</summary>
    private static Guid ReadBoot()
    {
        try
        {
            return Guid.TryParse(File.ReadAllText("/proc/sys/kernel/random/boot_id"), out var boot) ? boot : Guid.Empty;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return Guid.Empty;
        }
    }
}
