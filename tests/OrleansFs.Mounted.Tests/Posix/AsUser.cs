using System.Runtime.InteropServices;

namespace OrleansFs.Mounted.Tests.Posix;

/// <summary>Runs file system calls as another user: the thread's file-system ids change (setfsuid(2)), which takes root's file capabilities away with them.</summary>
public static class AsUser
{
    private static readonly bool s_arm = RuntimeInformation.ProcessArchitecture == Architecture.Arm64;

    // The raw calls change one thread; glibc's setgroups would change all.
    private static readonly nint s_setfsuid = s_arm ? 151 : 122;
    private static readonly nint s_setfsgid = s_arm ? 152 : 123;
    private static readonly nint s_setgroups = s_arm ? 159 : 116;

    /// <summary>Calls on a thread of its own, so that nothing else ever runs as that user.</summary>
    public static T Run<T>(uint uid, uint gid, Func<T> call)
    {
        T result = default!;
        Exception? failure = null;
        var thread = new Thread(() =>
        {
            try
            {
                if (Libc.syscall(s_setgroups, 0, 0) < 0)
                    throw new IOException("setgroups needs root");
                Libc.syscall(s_setfsgid, (nint)gid, 0);
                Libc.syscall(s_setfsuid, (nint)uid, 0);
                result = call();
            }
            catch (IOException e)
            {
                failure = e;
            }
        });
        thread.Start();
        thread.Join();
        return failure is null ? result : throw new IOException(failure.Message, failure);
    }
}
