namespace OrleansFs.Engine.Tests.Content;

internal static class OrphanageSteps
{
    /// <summary>When it is done, nothing that was queued before the call holds blocks any more.</summary>
    public static async Task PurgeQueuedAsync(this Orphanage orphanage)
    {
        while (await orphanage.PurgeSomeAsync(CancellationToken.None))
        {
        }
    }
}
