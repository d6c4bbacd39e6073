using Microsoft.Extensions.Logging;
using OrleansFs.Fuse.Interop;
using OrleansFs.Fuse.Protocol;

namespace OrleansFs.Fuse.Transport;

/// <summary>
/// FUSE over io_uring: a queue for every processor that could ever be, served by a thread on each processor that runs now. Set up before INIT is answered, so
/// that only the registration is left to fail, after which the kernel goes back to /dev/fuse by itself.
/// </summary>
internal sealed class RingTransport : IDisposable
{
    private const string EnableParameter = "/sys/module/fuse/parameters/enable_uring";

    private readonly List<RingWorker> _workers = [];
    private readonly TaskCompletionSource<string?> _ready = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly CountdownEvent _settingUp;
    private readonly Action _broken;
    private int _registering;
    private string? _failure;

    private RingTransport(ProtocolEngine engine, int device, int depth, int payloadSize, Action broken, ILogger logger)
    {
        Device = device;
        Depth = depth;
        PayloadSize = payloadSize;
        _broken = broken;
        IReadOnlyList<int> online = CpuSet.Online();
        IReadOnlyList<int> possible = CpuSet.Possible();
        int[] absent = [.. possible.Except(online)];
        for (int i = 0; i < online.Count; i++)
        {
            // A processor that is not there yet makes no requests; its queue rides along with a thread that is.
            IEnumerable<int> queues = absent.Where((_, n) => n % online.Count == i).Prepend(online[i]);
            _workers.Add(new RingWorker(engine, this, online[i], queues, logger));
        }
        _registering = _workers.Count;
        _settingUp = new CountdownEvent(_workers.Count);
    }

    /// <summary>The descriptor of /dev/fuse.</summary>
    internal int Device { get; }

    /// <summary>Entries a queue begins with.</summary>
    internal int Depth { get; }

    /// <summary>Bytes of each entry's payload: no less than the largest request, or the kernel refuses it.</summary>
    internal int PayloadSize { get; }

    /// <summary>Completes when all entries are registered: with null, or with why they are not.</summary>
    internal Task<string?> Ready => _ready.Task;

    internal Task Done => Task.WhenAll(_workers.Select(w => w.Done));

    internal IEnumerable<long[]> Counters => _workers.Select(w => w.Counters);

    internal IEnumerable<Request> Suspended => _workers.SelectMany(w => w.Suspended());

    /// <summary>Whether the fuse module has it turned on; where asked and allowed, turns it on.</summary>
    /// <param name="turnOn">Write the parameter, as root.</param>
    /// <param name="reason">Why not.</param>
    internal static bool IsEnabled(bool turnOn, out string? reason)
    {
        reason = null;
        if (!File.Exists(EnableParameter))
        {
            reason = "the kernel has no FUSE over io_uring (Linux 6.14)";
            return false;
        }
        if (ReadParameter())
            return true;
        if (!turnOn)
        {
            reason = $"{EnableParameter} is N";
            return false;
        }
        try
        {
            File.WriteAllText(EnableParameter, "Y");
        }
        catch (Exception exception) when (exception is UnauthorizedAccessException or IOException)
        {
            reason = $"{EnableParameter} is N and could not be set: {exception.Message}";
            return false;
        }
        return ReadParameter();
    }

    /// <summary>Sets everything up but the registration; null with the reason where that is not possible.</summary>
    internal static RingTransport? TryCreate(
        ProtocolEngine engine, int device, int depth, int payloadSize, Action broken, ILogger logger, out string? reason)
    {
        RingTransport transport = new(engine, device, depth, payloadSize, broken, logger);
        for (int i = 0; i < transport._workers.Count; i++)
            transport._workers[i].Start($"fuse-ring-{i}");
        transport._settingUp.Wait();
        reason = transport._failure;
        if (reason is null)
            return transport;
        transport.Stop();
        transport.Done.ContinueWith(
            static (_, t) => ((RingTransport)t!).Dispose(), transport, CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
        return null;
    }

    /// <summary>INIT is answered: registers all entries.</summary>
    internal void Register() => _workers.ForEach(w => w.Go());

    /// <summary>Ends the threads, whatever the kernel still has.</summary>
    internal void Stop() => _workers.ForEach(w => w.Stop());

    /// <summary>Frees all memory; only when no handler is busy and the threads are gone.</summary>
    public void Dispose()
    {
        _workers.ForEach(w => w.Dispose());
        _settingUp.Dispose();
    }

    internal void ReportSetUp(string? failure)
    {
        if (failure is not null)
            Interlocked.CompareExchange(ref _failure, failure, null);
        _settingUp.Signal();
    }

    internal void ReportRefused(Errno error) => Interlocked.CompareExchange(ref _failure, $"the kernel refused the registration: {error}", null);

    internal void ReportRegistered()
    {
        if (Interlocked.Decrement(ref _registering) == 0)
            _ready.TrySetResult(_failure);
    }

    /// <summary>A thread failed: its processor's requests would wait for ever, so the connection has to end.</summary>
    internal void ReportBroken()
    {
        _ready.TrySetResult("an io_uring thread failed");
        _broken();
    }

    private static bool ReadParameter() => File.ReadAllText(EnableParameter).StartsWith('Y');
}
