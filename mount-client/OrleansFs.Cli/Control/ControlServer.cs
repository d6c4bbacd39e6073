using System.Net.Sockets;
using System.Threading.Channels;
using Microsoft.Extensions.Logging;
using OrleansFs.Cli.Output;
using OrleansFs.Model;

namespace OrleansFs.Cli.Control;

/// <summary>Answers the requests of one volume's control socket.</summary>
internal interface IControlHandler
{
    Task<ControlReply> StatusAsync(CancellationToken cancellation);

    /// <summary>Deletes what nothing refers to, and tells how far it is.</summary>
    Task<ControlReply> CollectAsync(bool dryRun, IProgress<WorkProgress> progress, CancellationToken cancellation);

    /// <summary>The replicas of the volume.</summary>
    Task<ControlReply> ReplicasAsync(CancellationToken cancellation);

    /// <summary>A step of a drain.</summary>
    Task<ControlReply> DrainAsync(int copies, Lsn? target, CancellationToken cancellation);

    /// <summary>Begins or ends the verification of block files.</summary>
    Task<ControlReply> VerifyAsync(string? copy, VerificationAction action, CancellationToken cancellation);

    /// <summary>Unmounts in order. Null when the mount is gone; why not where it is not.</summary>
    Task<string?> UnmountAsync();
}

/// <summary>
/// The control socket of a data folder: <c>status</c>, <c>gc</c>, <c>replicas</c>, <c>drain</c>, <c>verify</c> and <c>umount</c> reach the process that serves the volume through it.
/// </summary>
/// <remarks>Only the folder's owner and root can reach it. Connections are few and short; one that asked for the unmount stays until <see cref="EndAsync"/>.</remarks>
internal sealed class ControlServer : IDisposable
{
    private readonly Socket _listener;
    private readonly string _path;
    private readonly IControlHandler _handler;
    private readonly ILogger _logger;
    private readonly CancellationTokenSource _stopping = new();
    private readonly TaskCompletionSource<string?> _ended = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly SemaphoreSlim _room = new(Limits.ControlConnections);
    private readonly Lock _gate = new();
    private readonly HashSet<Task> _connections = [];
    private readonly Task _accepting;

    private ControlServer(Socket listener, string path, IControlHandler handler, ILogger logger)
    {
        _listener = listener;
        _path = path;
        _handler = handler;
        _logger = logger;
        _accepting = Task.Run(AcceptAsync);
    }

    /// <summary>Makes the socket. The caller has the lock of the folder: a socket that is there is a dead process's.</summary>
    public static ControlServer Start(string folder, IControlHandler handler, ILogger logger)
    {
        string path = Path.Combine(folder, ControlSocket.Name);
        File.Delete(path);
        var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            var (handle, address) = ControlSocket.Address(folder) ?? throw new CommandException($"{folder} is gone");
            using (handle)
                listener.Bind(address);
            File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
            listener.Listen(Limits.ControlConnections);
        }
        catch
        {
            listener.Dispose();
            throw;
        }
        return new ControlServer(listener, path, handler, logger);
    }

    /// <summary>Takes no more requests and removes the socket. Who waits for the end goes on waiting.</summary>
    public async Task StopAsync()
    {
        await _stopping.CancelAsync();
        await _accepting;
        _listener.Dispose();
        File.Delete(_path);
    }

    /// <summary>Tells who asked for the unmount how it ended, and closes all connections.</summary>
    /// <param name="error">Null when everything is committed.</param>
    public async Task EndAsync(string? error)
    {
        _ended.TrySetResult(error);
        Task[] open;
        lock (_gate)
            open = [.. _connections];
        await Task.WhenAll(open);
    }

    /// <summary>After <see cref="EndAsync"/>.</summary>
    public void Dispose()
    {
        _stopping.Dispose();
        _room.Dispose();
    }

    private async Task AcceptAsync()
    {
        while (true)
        {
            try
            {
                await _room.WaitAsync(_stopping.Token);
                var socket = await _listener.AcceptAsync(_stopping.Token);
                Track(ServeAsync(socket));
            }
            catch (OperationCanceledException)
            {
                return;
            }
            catch (SocketException failure)
            {
                _logger.LogWarning(failure, "A connection to the control socket was lost before it was accepted");
                _room.Release();
            }
        }
    }

    private void Track(Task connection)
    {
        lock (_gate)
            _connections.Add(connection);
        connection.ContinueWith(
            done =>
            {
                lock (_gate)
                    _connections.Remove(done);
            },
            CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
    }

    private async Task ServeAsync(Socket socket)
    {
        try
        {
            await using var stream = new NetworkStream(socket, ownsSocket: true);
            using var patience = CancellationTokenSource.CreateLinkedTokenSource(_stopping.Token);
            patience.CancelAfter(Limits.ControlRequestTimeout);
            var requests = ControlSocket.Reader(stream);
            if (await ControlSocket.ReadLineAsync(requests, ControlLines.ReadRequest, patience.Token) is { } request)
                await AnswerAsync(stream, request);
            await requests.CompleteAsync();
        }
        catch (Exception failure) when (failure is IOException or OperationCanceledException or InvalidDataException)
        {
            _logger.LogDebug("A connection to the control socket ended early: {Reason}", failure.Message);
        }
        catch (Exception failure)
        {
            _logger.LogError(failure, "A request to the control socket failed");
        }
        finally
        {
            _room.Release();
        }
    }

    private async Task AnswerAsync(NetworkStream stream, ControlRequest request)
    {
        if (request.Version > ControlRequest.CurrentVersion)
        {
            await SayAsync(stream, new() { Error = $"the process that serves the volume is older than this program (control version {ControlRequest.CurrentVersion})" });
            return;
        }
        switch (request.Verb)
        {
            case ControlVerb.Status:
                await SayAsync(stream, await _handler.StatusAsync(_stopping.Token));
                break;
            case ControlVerb.Unmount:
                await UnmountAsync(stream);
                break;
            case ControlVerb.Collect:
                await CollectAsync(stream, request.DryRun);
                break;
            case ControlVerb.Replicas:
                await SayAsync(stream, await _handler.ReplicasAsync(_stopping.Token));
                break;
            case ControlVerb.Drain:
                await SayAsync(stream, await _handler.DrainAsync(request.Copies, request.Target, _stopping.Token));
                break;
            case ControlVerb.Verify:
                await SayAsync(stream, await _handler.VerifyAsync(request.Copy, request.Verification, _stopping.Token));
                break;
            default:
                await SayAsync(stream, new() { Error = $"the process that serves the volume does not know '{request.Verb}'" });
                break;
        }
    }

    private async Task UnmountAsync(NetworkStream stream)
    {
        if (await _handler.UnmountAsync() is { } refusal)
        {
            await SayAsync(stream, new() { Error = refusal });
            return;
        }
        await SayAsync(stream, new() { Unmounted = true });
        string? error = await _ended.Task;
        await SayAsync(stream, error is null ? new() { Committed = true } : new() { Error = error });
    }

    private async Task CollectAsync(NetworkStream stream, bool dryRun)
    {
        // The newest step only: a slow reader must not hold up the work, nor make it queue.
        var steps = Channel.CreateBounded<WorkProgress>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropOldest });
        var work = _handler.CollectAsync(dryRun, new Relay<WorkProgress>(step => steps.Writer.TryWrite(step)), _stopping.Token);
        _ = work.ContinueWith(_ => steps.Writer.TryComplete(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        await foreach (var step in steps.Reader.ReadAllAsync())
            await SayAsync(stream, new() { Progress = step });
        await SayAsync(stream, await work);
    }

    private static Task SayAsync(NetworkStream stream, ControlReply reply) => ControlSocket.WriteLineAsync(stream, line => ControlLines.Write(reply, line), CancellationToken.None);
}
