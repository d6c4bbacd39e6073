using OrleansFs.Model;

namespace OrleansFs.Engine.Replication;

/// <summary>What has changed on a replica, for those who have read it: mounts drop what they know of it.</summary>
/// <param name="Inodes">Inodes whose attributes or content may be others now, or that are gone.</param>
/// <param name="Names">Names that may lead elsewhere now, or nowhere.</param>
/// <param name="Everything">A full copy has come: all of the above.</param>
public sealed record VolumeChanges(IReadOnlyCollection<InodeNumber> Inodes, IReadOnlyCollection<(InodeNumber Directory, byte[] Name)> Names, bool Everything);
