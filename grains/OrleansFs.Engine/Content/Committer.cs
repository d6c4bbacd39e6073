using Microsoft.Extensions.Logging;
using OrleansFs.Engine.Blocks;
using OrleansFs.Engine.Metadata;
using OrleansFs.Model;

namespace OrleansFs.Engine.Content;

/// <summary>
/// Ends transactions. The rule that it keeps: a transaction is committed only when every block it refers to is synced, so that no loss of power leaves a manifest that names
/// a block that is not there.
/// </summary>
/// <remarks>
/// A content commit of many blocks enters the open transaction in several steps, between which the metadata lock is free; it holds the committer off until the last, so
/// that the file goes from one state to the next in one transaction. Where a step after the first fails, nothing is committed before the file is committed whole, or gone: whoever
/// asks is told the error, and does not wait.
/// </remarks>
internal sealed class Committer(MetadataStore metadata, BlockStore blocks, TimeProvider time, ILogger logger)
{
    private readonly TroubleLog _unsynced = new(logger, time);
    private int _holds;
    private int _torn;
    private Errno _tornBy;
    private TaskCompletionSource? _released;

    /// <summary>Why the last commit failed; null since one succeeded.</summary>
    public string? Trouble { get; private set; }

    /// <summary>Called after each commit, under the metadata lock: must only signal.</summary>
    public Action? Committed { get; set; }

    /// <summary>Keeps the open transaction open. Call with the metadata lock held; keep it for milliseconds.</summary>
    public void Hold() => _holds++;

    /// <summary>Ends a <see cref="Hold"/>. Call with the metadata lock held.</summary>
    public void Release()
    {
        if (--_holds > 0)
            return;
        _released?.TrySetResult();
        _released = null;
    }

    /// <summary>The open transaction has a file in part only, because of an error: nothing is committed until <see cref="Mend"/>. Call with the metadata lock held.</summary>
    public void Tear(Errno error)
    {
        _torn++;
        _tornBy = error;
    }

    /// <summary>It has the whole of the file now, or the file is gone. Call with the metadata lock held.</summary>
    public void Mend() => _torn--;

    /// <summary>Completes at the end of what holds the committer off. Call with the metadata lock held.</summary>
    private Task Released() => (_released ??= new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously)).Task;

    /// <summary>Has what the open transaction has survive a kill of the process, with a commit only where it must be.</summary>
    public async ValueTask<FsResult> KeepAsync(CancellationToken cancellation)
    {
        while (true)
        {
            Task held;
            lock (metadata.Lock)
            {
                if (_holds == 0)
                {
                    if (_torn == 0 && metadata.Keep(blocks.Files.SyncedSequence >= metadata.RequiredBlockSequence).IsOk)
                        return FsResult.Ok;
                    break;
                }
                held = Released();
            }
            await held.WaitAsync(cancellation);
        }
        return await CommitAsync(cancellation);
    }

    /// <summary>Commits what the open transaction has. Survives a kill of the process; <see cref="DurableAsync"/> also a loss of power.</summary>
    public async ValueTask<FsResult> CommitAsync(CancellationToken cancellation)
    {
        try
        {
            while (true)
            {
                long required;
                Task? held = null;
                lock (metadata.Lock)
                {
                    required = metadata.RequiredBlockSequence;
                    if (_holds > 0)
                    {
                        held = Released();
                    }
                    else if (_torn > 0)
                    {
                        Trouble = $"a file can be committed in part only: {_tornBy}";
                        return _tornBy;
                    }
                    else if (blocks.Files.SyncedSequence >= required)
                    {
                        var result = metadata.Commit();
                        Trouble = result.IsOk ? null : $"metadata cannot be committed: {result.Error}";
                        Committed?.Invoke();
                        return result;
                    }
                }
                if (held is not null)
                    await held.WaitAsync(cancellation);
                else
                    await blocks.Files.SyncAsync(required, cancellation);
            }
        }
        catch (BlockStoreException e)
        {
            _unsynced.Tell("blocks cannot be brought to disk, the transaction stays open", e);
            Trouble = e.Message;
            return e.Error;
        }
    }

    /// <summary>Commits, and waits until the commit survives a loss of power.</summary>
    public async ValueTask<FsResult> DurableAsync(CancellationToken cancellation)
    {
        var result = await CommitAsync(cancellation);
        if (result.IsOk)
            await metadata.DurableAsync(cancellation);
        return result;
    }
}
