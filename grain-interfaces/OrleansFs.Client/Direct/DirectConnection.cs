using System.Buffers;
using System.Diagnostics.CodeAnalysis;
using System.IO.Pipelines;
using System.Text;
using Microsoft.AspNetCore.Connections;
using Orleans.Serialization;
using OrleansFs.Client.Transport;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;

namespace OrleansFs.Client.Direct;

/// <summary>
/// One end of a direct connection: frames in both directions, and what both ends do with them alike. What comes is read by one thread, which also does what it asks for as long as nothing else has come meanwhile; where more
/// has, threads of the pool do. The content of a message follows it: it is sent from where it lies, and what of it has not come with the message is received where it is wanted.
/// </summary>
[SuppressMessage("Design", "CA1001", Justification = "A semaphore whose handle nobody asks for holds nothing, and who answers may outlive the connection.")]
internal abstract class DirectConnection(ConnectionContext context, Serializer serializer)
{
    private readonly SemaphoreSlim _sending = new(1);
    private readonly IContentConnection _link = context.Features.Get<IContentConnection>() ?? throw new NotSupportedException("not a connection of this transport");
    private readonly MessageWriter _message = new();

    /// <summary>Said first by the mount: no message of Orleans, whose first four bytes are a length, begins like this.</summary>
    public static ReadOnlySpan<byte> Greeting => "OFSE"u8;

    protected ConnectionContext Context => context;

    /// <summary>The greeting: "OFSE", the length of the copy's name in one byte, and the name. Whoever serves that copy answers with one byte of 1, others close.</summary>
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
        while (TryTake(ref rest, out var frame, out var body, out var content))
        {
            if (Take(frame, body, content) is not { } work)
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

    /// <summary>Takes the first frame of what has come, with its content. Nothing is taken where it is not there as a whole, and cannot be waited for here.</summary>
    private bool TryTake(ref ReadOnlySequence<byte> buffer, out DirectFrame frame, out ReadOnlySequence<byte> body, out Payload content)
    {
        content = default;
        var rest = buffer;
        if (!DirectFrame.TryTake(ref rest, out frame, out body))
            return false;
        if (frame.Content > 0)
        {
            int here = (int)Math.Min(rest.Length, frame.Content);
            if (here < frame.Content && !_link.IsReceiver)
                return false;
            content = Payload.Rent(frame.Content, out var memory);
            rest.Slice(0, here).CopyTo(memory.Span);
            if (here < frame.Content)
                _link.Receive(memory[here..]);
            rest = rest.Slice(here);
        }
        buffer = rest;
        return true;
    }

    /// <summary>Takes a frame, whose body is gone when this returns.</summary>
    /// <returns>What is to be done with it; null: nothing.</returns>
    protected abstract IThreadPoolWorkItem? Take(DirectFrame frame, ReadOnlySequence<byte> body, Payload content);

    /// <summary>Waits until another frame may be taken.</summary>
    protected virtual ValueTask BelowBoundAsync() => default;

    protected T Read<T>(ReadOnlySequence<byte> body, Payload content) where T : class
    {
        PayloadCodec.Follow(content);
        try
        {
            return serializer.Deserialize<T>(body) ?? throw new InvalidDataException("a message of nothing");
        }
        finally
        {
            PayloadCodec.Follow(default);
        }
    }

    /// <summary>Sends a frame. One that cannot be written ends the connection.</summary>
    /// <exception cref="ConnectionAbortedException">It has ended.</exception>
    protected async ValueTask SendAsync<T>(FrameKind kind, DirectTarget target, long call, ulong inode, T? body)
        where T : class
    {
        await _sending.WaitAsync();
        try
        {
            _message.Begin(DirectFrame.Size);
            if (body is not null)
                serializer.Serialize(body, _message);
            new DirectFrame(_message.Written.Length - DirectFrame.Size, _message.Content.Length, kind, target, call, inode).Write(_message.Head);
            await _link.SendAsync(_message.Written, _message.Content);
        }
        catch (Exception e) when (e is not ConnectionAbortedException)
        {
            var reason = new ConnectionAbortedException(e.Message, e);
            context.Abort(reason);
            throw reason;
        }
        finally
        {
            _message.End();
            _sending.Release();
        }
    }

    /// <summary>A message that is being written, and the content that follows it.</summary>
    private sealed class MessageWriter : IBufferWriter<byte>, IContentCarrier
    {
        private readonly byte[] _own = new byte[Limits.DirectMessage];
        private byte[] _bytes;
        private int _length;

        public MessageWriter() => _bytes = _own;

        public ReadOnlyMemory<byte> Content { get; private set; }

        public ReadOnlyMemory<byte> Written => _bytes.AsMemory(0, _length);

        public Span<byte> Head => _bytes;

        /// <param name="head">Bytes that are filled in when the rest is known.</param>
        public void Begin(int head) => _length = head;

        /// <summary>It was sent, or is not to be sent.</summary>
        public void End()
        {
            Content = default;
            Take(_own);
        }

        public bool TryCarry(ReadOnlyMemory<byte> content)
        {
            if (!Content.IsEmpty)
                return false;
            Content = content;
            return true;
        }

        public void Advance(int count) => _length += count;

        public Memory<byte> GetMemory(int sizeHint = 0)
        {
            int wanted = _length + Math.Max(sizeHint, 256);
            if (wanted > _bytes.Length)
            {
                byte[] larger = ArrayPool<byte>.Shared.Rent(Math.Max(wanted, 2 * _bytes.Length));
                _bytes.AsSpan(0, _length).CopyTo(larger);
                Take(larger);
            }
            return _bytes.AsMemory(_length);
        }

        public Span<byte> GetSpan(int sizeHint = 0) => GetMemory(sizeHint).Span;

        /// <summary>An array of the pool goes back when another takes its place.</summary>
        private void Take(byte[] bytes)
        {
            if (_bytes != _own)
                ArrayPool<byte>.Shared.Return(_bytes);
            _bytes = bytes;
        }
    }
}
