using System.IO.Pipelines;
using Microsoft.AspNetCore.Connections;

namespace OrleansFs.Hosting.Cluster;

/// <summary>
/// Ends a connection between silos over which nothing has come for a while. Silos ask each other for a sign of life every few seconds, so such a connection is one whose packets are lost: TCP itself would go on for a quarter of an
/// hour, with pauses that grow to minutes, while a new connection is made in a moment once the network is back.
/// </summary>
internal sealed class SilentConnections(TimeProvider time)
{
    public void Watch(IConnectionBuilder builder) => builder.Use(next => context => RunAsync(context, next));

    private async Task RunAsync(ConnectionContext context, ConnectionDelegate next)
    {
        var input = new WatchedReader(context.Transport.Input, time);
        context.Transport = new Duplex(input, context.Transport.Output);
        await using var timer = time.CreateTimer(
            _ =>
            {
                if (time.GetElapsedTime(input.LastHeard) > Limits.ConnectionSilence)
                    context.Abort(new ConnectionAbortedException($"nothing has come from {context.RemoteEndPoint} for {Limits.ConnectionSilence.TotalSeconds:0} s"));
            },
            null, Limits.ConnectionTick, Limits.ConnectionTick);
        await next(context);
    }

    private sealed record Duplex(PipeReader Input, PipeWriter Output) : IDuplexPipe;

    private sealed class WatchedReader(PipeReader inner, TimeProvider time) : PipeReader
    {
        private long _lastHeard = time.GetTimestamp();

        /// <summary>When something last came.</summary>
        public long LastHeard => Volatile.Read(ref _lastHeard);

        public override void AdvanceTo(SequencePosition consumed) => inner.AdvanceTo(consumed);

        public override void AdvanceTo(SequencePosition consumed, SequencePosition examined) => inner.AdvanceTo(consumed, examined);

        public override void CancelPendingRead() => inner.CancelPendingRead();

        public override void Complete(Exception? exception = null) => inner.Complete(exception);

        public override ValueTask CompleteAsync(Exception? exception = null) => inner.CompleteAsync(exception);

        public override async ValueTask<ReadResult> ReadAsync(CancellationToken cancellationToken = default)
        {
            var result = await inner.ReadAsync(cancellationToken);
            Volatile.Write(ref _lastHeard, time.GetTimestamp());
            return result;
        }

        public override bool TryRead(out ReadResult result)
        {
            if (!inner.TryRead(out result))
                return false;
            Volatile.Write(ref _lastHeard, time.GetTimestamp());
            return true;
        }

        protected override async ValueTask<ReadResult> ReadAtLeastAsyncCore(int minimumSize, CancellationToken cancellationToken)
        {
            var result = await inner.ReadAtLeastAsync(minimumSize, cancellationToken);
            Volatile.Write(ref _lastHeard, time.GetTimestamp());
            return result;
        }
    }
}
