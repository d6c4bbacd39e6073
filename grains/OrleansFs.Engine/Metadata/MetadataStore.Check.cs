namespace OrleansFs.Engine.Metadata;

internal sealed partial class MetadataStore
{
    public IEnumerable<MetadataFault> Check(IProgress<CheckProgress>? progress, CancellationToken cancellation) => throw new NotImplementedException();

    /// <summary>Repairs what <see cref="Check"/> finds, in bounded transactions; gives what it did.</summary>
    public IEnumerable<MetadataFault> Repair(IProgress<CheckProgress>? progress, CancellationToken cancellation) => throw new NotImplementedException();
}
