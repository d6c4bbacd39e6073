namespace OrleansFs.Engine;

/// <summary>What a copy is. Values are on disk.</summary>
public enum VolumeRole
{
    /// <summary>The one copy that may change.</summary>
    Master = 0,

    /// <summary>It follows a master, and answers EROFS to every mutation.</summary>
    Replica = 1,
}
