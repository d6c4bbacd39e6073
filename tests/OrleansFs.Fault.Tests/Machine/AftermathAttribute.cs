using System.Collections.Concurrent;
using System.Reflection;
using Xunit;
using Xunit.v3;

[assembly: OrleansFs.Fault.Tests.Machine.Aftermath]

namespace OrleansFs.Fault.Tests.Machine;

/// <summary>What could not be cleared away after a test. It fails the test, beside what failed in the test itself and never in the place of that.</summary>
/// <remarks>An exception out of <c>DisposeAsync</c> would hide the one that made the test end, and leave undone what is disposed of after it.</remarks>
internal sealed class AftermathAttribute : BeforeAfterTestAttribute
{
    private static readonly ConcurrentQueue<Exception> s_troubles = [];

    /// <summary>Clears something away. What goes wrong is told when the test has ended.</summary>
    public static async ValueTask OfAsync(Func<Task> clearing)
    {
        try
        {
            await clearing();
        }
        // Outside of a test there is nobody to tell it to later.
        catch (Exception e) when (TestContext.Current.Test is not null)
        {
            s_troubles.Enqueue(e);
        }
    }

    public override void After(MethodInfo methodUnderTest, IXunitTest test)
    {
        var troubles = new List<Exception>();
        while (s_troubles.TryDequeue(out var trouble))
            troubles.Add(trouble);
        if (troubles.Count > 0)
            throw new AggregateException("what the test left could not be cleared away", troubles);
    }
}
