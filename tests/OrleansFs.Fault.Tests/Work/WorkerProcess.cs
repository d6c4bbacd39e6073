using System.Globalization;
using OrleansFs.Fault.Tests.Device;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>A process that works on the volume when it is told to: one line of input starts a work, another stops it.</summary>
/// <remarks>
/// <c>go TOKEN KIND FOLDER LOG FAMILY SEED CLOCK BEFORE</c> starts, <c>stop</c> ends it between two steps. Answers <c>ended TOKEN None</c> or <c>ended TOKEN ERRNO</c>. Paths have no spaces: the tests choose
/// them. The process ends with its input.
/// </remarks>
internal static class WorkerProcess
{
    public static int Run()
    {
        Thread? running = null;
        CancellationTokenSource? stop = null;
        while (Console.ReadLine() is { } line)
        {
            string[] words = line.Split(' ');
            if (words[0] == "go")
            {
                running?.Join();
                stop?.Dispose();
                stop = new CancellationTokenSource();
                var token = stop.Token;
                running = new Thread(() => Work(words, token)) { IsBackground = true };
                running.Start();
            }
            else
            {
                stop?.Cancel();
            }
        }
        return 0;
    }

    private static void Work(string[] words, CancellationToken stop)
    {
        string outcome = "None";
        try
        {
            using var clock = words[7] == "-" ? null : Clock.Open(words[7]);
            using var log = new OpLog(words[4], clock);
            var random = new Random(int.Parse(words[6], CultureInfo.InvariantCulture));
            WorkKinds.All[words[2]].Run(new WorkContext(words[3], int.Parse(words[5], CultureInfo.InvariantCulture), random, log, words[8] == "-" ? null : History.Read(words[8], long.MaxValue), stop));
        }
        catch (WorkEndedException e)
        {
            outcome = $"{e.Error} {e.Message}";
        }
        catch (Exception e)
        {
            // Told to the test, which knows whether the volume was there to serve.
            outcome = $"{e.GetType().Name} {e.Message}".ReplaceLineEndings(" ");
        }
        Console.WriteLine($"ended {words[1]} {outcome}");
    }
}
