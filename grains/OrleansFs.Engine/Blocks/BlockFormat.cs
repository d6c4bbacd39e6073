namespace OrleansFs.Engine.Blocks;

/// <summary>The layout of a block file.</summary>
internal static class BlockFormat
{
    /// <summary>The most content that a block file can hold: the largest S, 4 MiB.</summary>
    public const int MaxContent = 4 * 1024 * 1024;

    /// <summary>Files take disk in units of this many bytes: what ext4, xfs and btrfs use unless told otherwise.</summary>
    public const int AllocationUnit = 4096;
}
