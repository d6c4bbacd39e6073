using Xunit.Sdk;
using Xunit.v3;

// Each test has the machine to itself: they are about what happens when, and each starts a dozen processes.
[assembly: Parallelization(Mode = ParallelMode.None)]
