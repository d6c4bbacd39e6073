namespace OrleansFs.Hosting;

/// <summary>A silo cannot be started: one line that says why and what to do.</summary>
public sealed class HostException(string message, Exception? inner = null) : Exception(message, inner);
