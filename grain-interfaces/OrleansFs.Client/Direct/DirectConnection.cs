using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Orleans.Serialization;
using OrleansFs.Model;

namespace OrleansFs.Client.Direct;

/// <summary>
/// One end of a direct connection: frames in both directions, and what both ends do with them alike. What comes is read by one thread, which also does what it asks for as long as nothing else has come meanwhile; where more
/// has, threads of the pool do.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "A semaphore whose handle nobody asks for holds nothing, and who answers may outlive the connection.")]
internal abstract class DirectConnection(ConnectionContext context, Serializer serializer)
{
    private readonly SemaphoreSlim _sending = new(1);
    private readonly CountedWriter _counted = new(context.Transport.Output);

    /// <summary>Said first by the mount: no message of Orleans, whose first four bytes are a length, begins like this.</summary>
    public static ReadOnlySpan<byte> Greeting => "OFSD"u8;

    protected ConnectionContext Context => context;

    /// <summary>The greeting: "OFSD", the length of the copy's name in one byte, and the name. Whoever serves that copy answers with one byte of 1, others close.</summary>
    public static byte[] GreetingTo(CopyName copy) => [.. Greeting, (byte)Encoding.UTF8.GetByteCount(copy.Value), .. Encoding.UTF8.GetBytes(copy.Value)];

    /// <summary>Reads frames until the connection ends.</summary>
    protected async Task ReadAsync()
    {
        var input = context.Transport.Input;
        while (true)
        {
            var result = await input.ReadAsync();
            if (result.IsCanceled)
                return;
            Take(input, result);
            if (result.IsCompleted)
                return;
            await BelowBoundAsync();
        }
    }

    private void Take(PipeReader input, ReadResult result)
    {
        var rest = result.Buffer;
        while (DirectFrame.TryTake(ref rest, out var frame, out var body))
        {
            if (Take(frame, body) is not { } work)
                continue;
            if (rest.IsEmpty)
            {
                // The buffer is free before the work is done: that may take a while.
                input.AdvanceTo(rest.End);
                work.Execute();
                return;
            }
            ThreadPool.UnsafeQueueUserWorkItem(work, preferLocal: false);
        }
        input.AdvanceTo(rest.Start, rest.End);
    }

    /// <summary>Takes a frame, whose body is gone when this returns.</summary>
    /// <returns>What is to be done with it; null: nothing.</returns>
    protected abstract IThreadPoolWorkItem? Take(DirectFrame frame, ReadOnlySequence<byte> body);

    /// <summary>Waits until another frame may be taken.</summary>
    protected virtual ValueTask BelowBoundAsync() => default;

    protected T Read<T>(ReadOnlySequence<byte> body) where T : class => serializer.Deserialize<T>(body) ?? throw new InvalidDataException("a message without content");

    /// <summary>Sends a frame. One that cannot be written ends the connection.</summary>
    /// <exception cref="ConnectionAbortedException">It has ended.</exception>
    protected async ValueTask SendAsync<T>(FrameKind kind, DirectTarget target, long call, ulong inode, T? body)
        where T : class
    {
        await _sending.WaitAsync();
        try
        {
            var output = context.Transport.Output;
            var head = output.GetMemory(DirectFrame.Size)[..DirectFrame.Size];
            output.Advance(DirectFrame.Size);
            _counted.Count = 0;
            if (body is not null)
                serializer.Serialize(body, _counted);
            // The place of the head stays what it is until it is flushed.
            new DirectFrame(_counted.Count, kind, target, call, inode).Write(head.Span);
            var flushed = await output.FlushAsync();
            if (flushed.IsCompleted)
                throw new ConnectionAbortedException("the connection was closed");
        }
        catch (Exception e) when (e is not ConnectionAbortedException)
        {
            var reason = new ConnectionAbortedException(e.Message, e);
            context.Abort(reason);
            throw reason;
        }
        finally
        {
            _sending.Release();
        }
    }

    /// <summary>Counts what is written to a pipe.</summary>
    private sealed class CountedWriter(PipeWriter output) : IBufferWriter<byte>
    {
        public int Count { get; set; }

        public void Advance(int count)
        {
            output.Advance(count);
            Count += count;
        }

        public Memory<byte> GetMemory(int sizeHint = 0) => output.GetMemory(sizeHint);

        public Span<byte> GetSpan(int sizeHint = 0) => output.GetSpan(sizeHint);
    }
}
