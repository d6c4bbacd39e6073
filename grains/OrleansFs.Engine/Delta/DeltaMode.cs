namespace OrleansFs.Engine.Delta;

/// <summary>When blocks are sent as instructions to build them out of blocks that the replica has.</summary>
public enum DeltaMode
{
    /// <summary>Never: blocks go whole.</summary>
    Off,

    /// <summary>Where it can pay: what was changed in place, and new blocks as long as neighbours of them gave something.</summary>
    Auto,

    /// <summary>For every block, whatever it costs.</summary>
    Always,
}
