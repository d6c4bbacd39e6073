namespace OrleansFs.Client.Transport;

/// <summary>A connection past whose pipes content can be sent from where it lies, and received where it is wanted: through a pipe it would be copied once more at each end.</summary>
internal interface IContentConnection
{
    /// <summary>Whether this is the thread that receives: it has nothing else to do until more is wanted, and all that has come is in the pipe.</summary>
    bool IsReceiver { get; }

    /// <summary>Receives what comes behind what is in the pipe, until the memory is full. In the thread that receives only.</summary>
    /// <exception cref="Microsoft.AspNetCore.Connections.ConnectionResetException">The connection was lost.</exception>
    void Receive(Memory<byte> into);

    /// <summary>Sends both, one behind the other. By one sender at a time, and by none while something that was written to the pipe is on its way. Completes when the system has them.</summary>
    /// <exception cref="System.Net.Sockets.SocketException">The connection was lost.</exception>
    /// <exception cref="ObjectDisposedException">It was ended here.</exception>
    ValueTask SendAsync(ReadOnlyMemory<byte> first, ReadOnlyMemory<byte> second);
}
