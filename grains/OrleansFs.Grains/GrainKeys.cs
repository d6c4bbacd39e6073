using OrleansFs.Model;

namespace OrleansFs.Grains;

/// <summary>Says what placement promises: a grain's key names the copy that this silo serves.</summary>
internal static class GrainKeys
{
    public static string Text(IGrainContext context) => context.GrainId.Key.ToString()!;

    /// <exception cref="InvalidOperationException">The activation is on the wrong silo: a bug in placement, and writing to another copy than the caller means.</exception>
    public static void RequireHere(CopyName copy, IVolumeCopy here)
    {
        if (copy != here.Description.Copy)
            throw new InvalidOperationException($"a grain of the copy '{copy}' was activated on the silo of '{here.Description.Copy}'");
    }
}
