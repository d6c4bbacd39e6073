namespace OrleansFs.Mount;

/// <summary>Every bound of the mount, with its reason.</summary>
internal static class Limits
{
    /// <summary>The largest st_blksize: programs size their buffers by it, and 1 MiB is the largest request there is.</summary>
    internal const int MaxPreferredIO = 1 << 20;

    /// <summary>How far the kernel reads ahead of a sequential reader, bytes: the four largest requests, so that two cores can work while one is being copied.</summary>
    internal const int ReadAhead = 4 << 20;

    /// <summary>The unit of statfs(2)'s counts. A page, as every program expects that never looks at f_frsize.</summary>
    internal const uint SpaceUnit = 4096;

    /// <summary>The longest name, as everywhere in Linux.</summary>
    internal const uint NameLength = 255;
}
