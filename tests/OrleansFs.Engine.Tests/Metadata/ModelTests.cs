using OrleansFs.Model;

namespace OrleansFs.Engine.Tests.Metadata;

public sealed class ModelTests
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Random_operations_agree_with_a_model_across_reopening_and_crashes(bool content)
    {
        int seed = Environment.TickCount;
        TestContext.Current.SendDiagnosticMessage("seed {0}", seed);
        var random = new Random(seed);
        var volume = new TestVolume();
        try
        {
            var work = new RandomWork(seed, volume.Store, content);
            for (int round = 0; round < 40; round++)
            {
                work.Steps(random.Next(1, 200));
                work.Compare();
                volume.Commit();
                if (round % 8 == 7)
                    Assert.True(volume.Store.Check(null, CancellationToken.None).FirstOrDefault() is not { } fault, $"seed {seed}: {volume.Store.Check(null, CancellationToken.None).FirstOrDefault()?.Description}");
                switch (random.Next(4))
                {
                    case 0:
                        volume.Reopen();
                        break;
                    case 1:
                        var crashed = volume.Crashed();
                        volume.Dispose();
                        volume = crashed;
                        break;
                    default:
                        break;
                }
                work.GoOnWith(volume.Store);
                work.Compare();
            }
            foreach (var orphan in volume.Store.Orphans())
                Assert.Equal(Errno.None, volume.Store.PurgeOrphan(orphan).Error);
            Assert.Equal(0, volume.Store.Counters.Orphans);
        }
        finally
        {
            volume.Dispose();
        }
    }
}
