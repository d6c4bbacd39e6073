using System.Globalization;
using Microsoft.Extensions.Logging;
using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Mounting;
using OrleansFs.Fuse.Protocol;

namespace OrleansFs.Fuse.Transport;

/// <summary>
/// A connection to the kernel from its first request to its end: which threads serve it, in which order they start, and in which everything ends.
/// </summary>
/// <remarks>
/// <para>Start: one reader takes INIT; the rings are set up; INIT is answered; the rings register; more readers start.</para>
/// <para>End: the readers see that the connection is gone; every handler is cancelled, and waited for; the rings and the notifications end; the file system is
/// told; descriptors are closed and memory is freed. A handler that does not end in time keeps its memory, for it may still write there.</para>
/// </remarks>
internal sealed partial class Connection : IConnection
{
    private const int ReadersBesideRings = 2;

    private readonly ILogger _logger;
    private readonly FuseOptions _options;
    private readonly TimeProvider _time;
    private readonly DeviceRequestPool _pool;
    private readonly List<DeviceReader> _readers = [];
    private readonly List<int> _clones = [];
    private readonly Lock _readersGate = new();
    private readonly TaskCompletionSource _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly TaskCompletionSource _gone = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly int _fd;
    private RingTransport? _rings;
    private string? _ringsUnavailable;
    private volatile bool _ringsInUse;
    private bool _isEnding;
    private bool _isNotifying;

    internal Connection(int fd, FuseFileSystem fileSystem, FuseOptions options, string? ringsUnavailable, TimeProvider time, ILogger logger)
    {
        _fd = fd;
        _options = options;
        _ringsUnavailable = ringsUnavailable;
        _time = time;
        _logger = logger;
        Engine = new ProtocolEngine(fileSystem, options, this, logger);
        _pool = new DeviceRequestPool(Engine, options.MaxWrite, logger);
        Notifications = new NotificationQueue(fd, options.MaxQueuedNotifications, options.MaxWrite, logger);
        Completion = Task.Run(RunAsync);
    }

    internal ProtocolEngine Engine { get; }

    /// <summary>Cuts the kernel's side off.</summary>
    internal Action? Abort { get; set; }

    internal NotificationQueue Notifications { get; }

    /// <summary>Completes when requests are served; fails where the connection could not be started.</summary>
    internal Task Ready => _ready.Task;

    /// <summary>Completes when the kernel has ended the connection: its last mount is gone, or it was cut off. Never fails.</summary>
    internal Task Gone => _gone.Task;

    /// <summary>Completes when nothing of the connection is left.</summary>
    internal Task Completion { get; }

    internal FuseStatistics Statistics()
    {
        long[] totals = new long[OpcodeTable.Size];
        List<long[]> all;
        lock (_readersGate)
            all = [.. _readers.Select(r => r.Counters), .. _rings?.Counters ?? []];
        foreach (long[] counters in all)
        {
            for (int i = 0; i < totals.Length; i++)
                totals[i] += Volatile.Read(ref counters[i]);
        }
        Dictionary<string, long> requests = [];
        for (int i = 0; i < totals.Length; i++)
        {
            if (totals[i] > 0)
                requests[OpcodeTable.Find((FuseOpcode)i)?.Name ?? "unknown"] = totals[i];
        }
        return new FuseStatistics
        {
            Requests = requests,
            TotalRequests = totals.Sum(),
            InFlight = Engine.InFlight,
            BytesInFlight = Engine.BytesInFlight,
            HandlerExceptions = Engine.HandlerExceptions,
            MalformedRequests = Engine.Malformed,
            Interrupts = Engine.InterruptCount,
            Notifications = Notifications.Sent,
            Transport = _ringsInUse ? FuseTransport.IoUring : FuseTransport.Device,
            IoUringUnavailable = _ringsInUse ? null : _ringsUnavailable,
            ProtocolVersion = Engine.Minor == 0 ? null : string.Create(CultureInfo.InvariantCulture, $"{ProtocolEngine.Major}.{Engine.Minor}"),
            Capabilities = Engine.Capabilities,
        };
    }

    FuseCapabilities IConnection.Prepare(FuseCapabilities offered, InitReply agreed)
    {
        if (_ringsUnavailable is not null)
            return FuseCapabilities.None;
        if ((offered & FuseCapabilities.OverIoUring) == 0)
        {
            _ringsUnavailable = "the kernel does not offer it for this mount";
            return FuseCapabilities.None;
        }
        int payload = _options.RingPayloadSize ?? Math.Max(8192, (agreed.MaxWrite + 4095) & ~4095); // 8192: FUSE_MIN_READ_BUFFER
        int depth = Math.Clamp(_options.QueueDepth, 1, Limits.MaxQueueDepth);
        _rings = RingTransport.TryCreate(Engine, _fd, depth, payload, Broken, _logger, out _ringsUnavailable);
        return _rings is null ? FuseCapabilities.None : FuseCapabilities.OverIoUring;
    }

    void IConnection.Started()
    {
        lock (_readersGate)
        {
            // Cut off while INIT was being answered: nothing is started any more.
            if (_isEnding)
                return;
            Notifications.CanPrune = Engine.Minor >= 45;
            Notifications.Start();
            _isNotifying = true;
        }
        if (_rings is null)
            StartServing();
        else
            _ = RegisterRingsAsync(_rings);
    }

    void IConnection.Failed(string reason) => _ready.TrySetException(new FuseMountException(reason));

    private async Task RegisterRingsAsync(RingTransport rings)
    {
        rings.Register();
        string? failure = await rings.Ready.ConfigureAwait(false);
        _ringsUnavailable = failure;
        _ringsInUse = failure is null;
        StartServing();
    }

    private void StartServing()
    {
        if (!_ringsInUse)
            LogDevice(_logger, _options.IoUring == IoUringMode.On ? LogLevel.Warning : LogLevel.Information, _ringsUnavailable);
        int wanted = _ringsInUse ? ReadersBesideRings : _options.ReaderThreads ?? Math.Clamp(Environment.ProcessorCount, 2, 8);
        StartReaders(Math.Clamp(wanted, 1, Limits.MaxReaderThreads));
        _ready.TrySetResult();
    }

    private void StartReaders(int upTo)
    {
        lock (_readersGate)
        {
            // The descriptors are closed then, and their numbers may be another's.
            while (_readers.Count < upTo && !_isEnding)
            {
                int fd = _fd;
                if (_readers.Count > 0)
                {
                    fd = KernelMount.Clone(_fd);
                    if (fd != _fd)
                        _clones.Add(fd);
                }
                DeviceReader reader = new(Engine, _pool, fd, _logger);
                _readers.Add(reader);
                reader.Start(_readers.Count - 1);
            }
        }
    }

    /// <summary>A transport thread failed, and with it all requests of its processor: better a mount that is gone than one that hangs.</summary>
    private void Broken()
    {
        Engine.Cut();
        ThreadPool.UnsafeQueueUserWorkItem(static c => c.Abort?.Invoke(), this, preferLocal: false);
    }

    private async Task RunAsync()
    {
        StartReaders(1);
        await AllReadersAsync().ConfigureAwait(false);
        _gone.SetResult();
        _ready.TrySetException(new FuseMountException("the mount went away before it was ready"));
        _ = _ready.Task.Exception; // observed: nobody need wait for it
        Engine.Interrupts.CancelAll();
        bool idle = await Task.Run(() => Engine.WaitUntilIdle(_options.UnmountTimeout, _time)).ConfigureAwait(false);
        if (_rings is not null)
            idle &= await EndRingsAsync(_rings).ConfigureAwait(false);
        Notifications.Stop();
        if (_isNotifying)
            await Notifications.Done.ConfigureAwait(false);
        await DestroyAsync().ConfigureAwait(false);
        Close(idle);
    }

    /// <summary>Waits for the readers' end; none starts after it.</summary>
    private async Task AllReadersAsync()
    {
        int seen = 0;
        while (true)
        {
            Task[] readers;
            lock (_readersGate)
            {
                readers = [.. _readers.Select(r => r.Done)];
                _isEnding = readers.Length == seen;
            }
            if (_isEnding)
                return;
            seen = readers.Length;
            await Task.WhenAll(readers).ConfigureAwait(false);
        }
    }

    private async Task<bool> EndRingsAsync(RingTransport rings)
    {
        if (!_ringsInUse)
            rings.Stop(); // never registered, or refused: the kernel gives nothing back
        try
        {
            await rings.Done.WaitAsync(_options.UnmountTimeout, _time).ConfigureAwait(false);
            return true;
        }
        catch (TimeoutException)
        {
            rings.Stop();
            return false;
        }
    }

    private async Task DestroyAsync()
    {
        try
        {
            await Engine.FileSystem.Destroy().ConfigureAwait(false);
        }
        catch (Exception exception)
        {
            LogDestroyFailed(_logger, exception);
        }
    }

    private void Close(bool idle)
    {
        _clones.ForEach(fd => Libc.Close(fd));
        _ = Libc.Close(_fd);
        if (idle)
        {
            _rings?.Dispose();
            _pool.Close();
            return;
        }
        foreach (Request request in _pool.Suspended().Concat(_rings?.Suspended ?? []))
            LogStuck(_logger, request.Opcode, request.Unique, request.Node, _options.UnmountTimeout);
    }

    [LoggerMessage(Message = "requests come over /dev/fuse, not io_uring: {Reason}")]
    private static partial void LogDevice(ILogger logger, LogLevel level, string? reason);

    [LoggerMessage(Level = LogLevel.Error, Message = "the file system threw when it was told that the mount is gone")]
    private static partial void LogDestroyFailed(ILogger logger, Exception exception);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Opcode} (unique {Unique}, node {Node}): its handler did not end {TimeOut} after the mount was gone")]
    private static partial void LogStuck(ILogger logger, FuseOpcode opcode, ulong unique, NodeId node, TimeSpan timeOut);
}
