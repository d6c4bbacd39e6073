using System.Reflection;
using OrleansFs.Model;

namespace OrleansFs.Mounted.Tests.Mounts;

/// <summary>A volume that a test listens to: it may answer a call itself, or note it.</summary>
public class InterceptedVolume : DispatchProxy
{
    private IVolumeAccess _volume = null!;
    private Func<string, object?[], object?> _answer = null!;

    /// <param name="volume">What answers.</param>
    /// <param name="answer">Of the name of a call and its arguments, the answer; null where the volume is to give it.</param>
    public static IVolumeAccess Of(IVolumeAccess volume, Func<string, object?[], object?> answer)
    {
        var made = Create<IVolumeAccess, InterceptedVolume>();
        var proxy = (InterceptedVolume)(object)made;
        (proxy._volume, proxy._answer) = (volume, answer);
        return made;
    }

    protected override object? Invoke(MethodInfo? targetMethod, object?[]? args) => _answer(targetMethod!.Name, args!) ?? targetMethod.Invoke(_volume, args);
}
