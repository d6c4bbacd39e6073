using Orleans.Placement;

namespace OrleansFs.Grains.Placement;

/// <summary>A grain lives on the silo whose name is the copy in its key, and nowhere else.</summary>
/// <remarks>So it needs no directory: there is one silo that may have the activation, and within a process an activation is unique.</remarks>
[Serializable, GenerateSerializer, Immutable, Alias("ofs.CopyPlacement")]
public sealed class CopyPlacement : PlacementStrategy
{
    public override bool IsUsingGrainDirectory => false;
}

/// <summary>Marks a grain class whose key ends in the name of a copy (<see cref="GrainInterfaces.CopyKey"/>).</summary>
[AttributeUsage(AttributeTargets.Class)]
public sealed class CopyPlacementAttribute() : PlacementAttribute(new CopyPlacement());
