namespace OrleansFs.Engine.Delta;

/// <summary>Every bound of building blocks out of others, each with its reason.</summary>
internal static class DeltaLimits
{
    /// <summary>Shortest copy that is worth its instruction, bytes: that takes four to eight.</summary>
    public const int MinCopy = 16;

    /// <summary>Shortest copy that is looked for away from where it was, bytes: shorter ones are found by accident.</summary>
    public const int MinMoved = 24;

    /// <summary>Literal bytes between two copies from which a search for moved pieces is worth its table.</summary>
    public const int MinGap = 64;

    /// <summary>Consecutive new blocks of a file that are encoded together, bytes; two blocks at least. So much content is in memory, besides a block on either side.</summary>
    public const int RunBytes = 4 << 20;

    /// <summary>Contents of sources in memory, bytes, and never fewer blocks than <see cref="SourcesHeld"/>.</summary>
    public const int SourceBytes = 16 << 20;

    /// <summary>Sources that an encoder looks at at the same time.</summary>
    public const int SourcesHeld = 6;

    /// <summary>Blocks that one gap is compared with: what was there, what lies beside it in the sources found, on either side.</summary>
    public const int GapSources = 4;

    /// <summary>Places of pieces that are remembered of the sources of a gap: 256 KiB of memory, every 8th byte of four blocks of the default size.</summary>
    public const int PieceSlots = 1 << 16;

    /// <summary>Window positions that are looked at between two starts of the rolling sums, bytes. A start costs a tenth of it.</summary>
    public const int ScanBytes = 64 << 10;

    /// <summary>Bytes of instructions and literals in one message: as of blocks, so that one message takes as long as another.</summary>
    public const int MessageBytes = 1 << 20;

    /// <summary>Blocks that one message builds: of the smallest a message is 4 MiB of content, which takes the replica some 20 ms.</summary>
    public const int MessageBlocks = 1024;

    /// <summary>Literal bytes that a message may hold when unpacked: a run of the largest blocks more than <see cref="MessageBytes"/>.</summary>
    public const int MessageLiterals = MessageBytes + 2 * Blocks.BlockLimits.MaxContent;

    /// <summary>Sealed blocks of which it is remembered where they were made and over what, 7 MiB. What is forgotten goes whole, or is found by its checksum.</summary>
    public const int Notes = 65_536;

    /// <summary>Steps back through what was under a block that was under a block: each a version that the replica never saw.</summary>
    public const int BaseSteps = 16;

    /// <summary>What is searched of a file before anything has to be found, and after each find, bytes.</summary>
    public const int CreditBytes = 1 << 20;

    /// <summary>The same for large blocks: so many at least.</summary>
    public const int CreditBlocks = 4;

    /// <summary>Of a file where nothing is found every so many-th block is searched: 3 % of the price, and a megabyte that matches is met after 4 MiB.</summary>
    public const int ProbeEvery = 32;

    /// <summary>Files of which it is remembered how the search went: 1 MiB. Beyond that all are forgotten, and are searched anew.</summary>
    public const int Streams = 8192;

    /// <summary>Ends of runs that are remembered for each replica, 400 KiB. There is about one for each file that is being written.</summary>
    public const int TrailEnds = 4096;

    /// <summary>Entries of each of the three tables of the index, at most: 16 MiB each. They forget nothing to speak of up to half of that, 137 GB of default blocks; what comes when they are full takes the place of others.</summary>
    public const int IndexEntries = 1 << 21;

    /// <summary>Entries of an index of a small volume: 32 KiB each.</summary>
    public const int MinIndexEntries = 1 << 12;

    /// <summary>Blocks that may have a checksum, as a candidate is looked up by 32 bits of its name: two are rare, more are chance.</summary>
    public const int Candidates = 8;

    /// <summary>Pieces of a composed block, copies and literals: reading one opens as many files at most.</summary>
    public const int ComposePieces = 64;

    /// <summary>New blocks that wait for being looked at whether they can be composed; of more the oldest stay plain. 8 MiB of memory.</summary>
    public const int ComposeQueue = 65_536;

    /// <summary>Blocks that are composed in one transaction, or put back into files in one: 32 MiB of default blocks.</summary>
    public const int ComposeBatch = 256;

    /// <summary>How long new blocks wait: those that were made with them are known then, and have gone to replicas as files.</summary>
    public static readonly TimeSpan ComposePause = TimeSpan.FromSeconds(1);

    /// <summary>Reads in one run of the program after which a composed block is put into a file.</summary>
    public const int HotReads = 4;

    /// <summary>Composed blocks whose reads are counted, 5 MiB.</summary>
    public const int ReadsCounted = 65_536;

    /// <summary>Blocks built on a replica of which it is remembered how, until a transaction names them: those of four shipments of the default size.</summary>
    public const int ReceivedCompositions = 8192;

    /// <summary>What their instructions may take in memory, bytes.</summary>
    public const int ReceivedBytes = 8 << 20;

    /// <summary>Such blocks that wait for that.</summary>
    public const int HotQueue = 1024;

    /// <summary>How long a sender waits for the index to be made before it sends blocks whole: 100 million blocks are read in that time.</summary>
    public static readonly TimeSpan IndexTimeout = TimeSpan.FromSeconds(60);
}
