using System.IO.MemoryMappedFiles;

namespace OrleansFs.Fault.Tests.Device;

/// <summary>A position of the disk, shared with other processes through a mapped file: they note it beside what they do, and so their notes can be ordered with what the disk saw.</summary>
internal sealed unsafe class Clock : IDisposable
{
    private readonly MemoryMappedFile _file;
    private readonly MemoryMappedViewAccessor _view;
    private readonly long* _position;

    private Clock(string path, FileMode mode)
    {
        Path = path;
        _file = MemoryMappedFile.CreateFromFile(path, mode, null, mode == FileMode.Open ? 0 : 4096);
        _view = _file.CreateViewAccessor();
        byte* at = null;
        _view.SafeMemoryMappedViewHandle.AcquirePointer(ref at);
        _position = (long*)at;
    }

    public string Path { get; }

    public long Now => Volatile.Read(ref *_position);

    public static Clock Make(string path) => new(path, FileMode.Create);

    public static Clock Open(string path) => new(path, FileMode.Open);

    public void Set(long position) => Volatile.Write(ref *_position, position);

    public void Dispose()
    {
        _view.SafeMemoryMappedViewHandle.ReleasePointer();
        _view.Dispose();
        _file.Dispose();
    }
}
