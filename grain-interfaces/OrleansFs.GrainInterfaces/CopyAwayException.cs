using Orleans;
using OrleansFs.Model;

namespace OrleansFs.GrainInterfaces;

/// <summary>The silo of a copy is not in the cluster now. It may come back: a call to one of its grains may be tried again.</summary>
[GenerateSerializer, Alias("ofs.CopyAwayException")]
public sealed class CopyAwayException : Exception
{
    public CopyAwayException(CopyName copy)
        : base($"the copy '{copy}' is away: no silo of that name is in the cluster") => Copy = copy;

    [Id(0)]
    public CopyName Copy { get; }
}
