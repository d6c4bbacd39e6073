using System.IO.Pipelines;
using System.Net.Sockets;
using System.Runtime.CompilerServices;

namespace OrleansFs.Cli.Control;

/// <summary>Asks the process that serves a volume.</summary>
internal sealed class ControlClient : IDisposable
{
    private readonly NetworkStream _stream;
    private readonly PipeReader _answers;

    private ControlClient(NetworkStream stream)
    {
        _stream = stream;
        _answers = ControlSocket.Reader(stream);
    }

    /// <summary>Connects; null where no process serves the folder.</summary>
    public static async Task<ControlClient?> TryConnectAsync(string folder, CancellationToken cancellation)
    {
        if (ControlSocket.Address(folder) is not var (handle, address))
            return null;
        using (handle)
        {
            var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(address, cancellation);
                return new ControlClient(new NetworkStream(socket, ownsSocket: true));
            }
            catch (SocketException failure)
            {
                socket.Dispose();
                return failure.SocketErrorCode == SocketError.AccessDenied
                    ? throw ControlSocket.NotAllowed(folder)
                    : null;
            }
        }
    }

    /// <summary>Sends a request and gives the answers up to the last one.</summary>
    public async IAsyncEnumerable<ControlReply> AskAsync(ControlRequest request, [EnumeratorCancellation] CancellationToken cancellation)
    {
        await ControlSocket.WriteLineAsync(_stream, line => ControlLines.Write(request, line), cancellation);
        while (await ControlSocket.ReadLineAsync(_answers, ControlLines.ReadReply, cancellation) is { } reply)
            yield return reply;
    }

    /// <summary>Sends a request that has one short answer.</summary>
    public async Task<ControlReply> AskOnceAsync(ControlRequest request, CancellationToken cancellation)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellation);
        patience.CancelAfter(Limits.ControlAnswerTimeout);
        try
        {
            await foreach (var reply in AskAsync(request, patience.Token))
                return reply.Error is { } error ? throw new CommandException(error) : reply;
        }
        catch (OperationCanceledException) when (!cancellation.IsCancellationRequested)
        {
            throw new CommandException($"the process that serves the volume did not answer within {Limits.ControlAnswerTimeout}");
        }
        throw new CommandException("the process that serves the volume ended before it answered");
    }

    public void Dispose()
    {
        _answers.Complete();
        _stream.Dispose();
    }
}
