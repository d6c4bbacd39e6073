namespace OrleansFs.Hosting;

/// <summary>A silo cannot be started: one line that says why and what to do.</summary>
public class HostException(string message, Exception? inner = null) : Exception(message, inner);

/// <summary>Another copy has become the volume's master: this one may be read, and may not be changed.</summary>
/// <param name="message">Says so.</param>
/// <param name="by">Its epoch.</param>
/// <param name="at">Where that began.</param>
internal sealed class SupersededException(string message, Model.Epoch by, Model.Lsn at) : HostException(message)
{
    public Model.Epoch By => by;

    public Model.Lsn At => at;
}
