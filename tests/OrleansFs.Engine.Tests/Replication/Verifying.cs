using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Replication;

/// <summary>A verification from its beginning to its end.</summary>
internal static class Verifying
{
    /// <summary>Asks for one, and waits for its end.</summary>
    /// <returns>The blocks it looked at, and how many were damaged or missing.</returns>
    public static async Task<(long Blocks, long Damaged)> VerifyAllAsync(this VolumeCopy volume)
    {
        var before = volume.Verification.Report.Last;
        Assert.Equal(Errno.None, volume.Verify(VerificationAction.Start).Error);
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(60));
        while (volume.Verification.Report is var report)
        {
            if (!report.IsRunning && report.Last != before)
                return (report.LastBlocks, report.LastDamaged);
            await Task.Delay(10, patience.Token);
        }
        throw new InvalidOperationException();
    }
}
