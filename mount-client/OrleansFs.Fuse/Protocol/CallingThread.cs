using System.Globalization;

namespace OrleansFs.Fuse.Protocol;

/// <summary>What /proc says of the thread that waits for an answer.</summary>
internal static class CallingThread
{
    private const int SIGKILL = 9;
    private const int SIGCHLD = 17;
    private const int SIGCONT = 18;
    private const int SIGSTOP = 19;
    private const int SIGTSTP = 20;
    private const int SIGTTIN = 21;
    private const int SIGTTOU = 22;
    private const int SIGURG = 23;
    private const int SIGWINCH = 28;

    /// <summary>Signals that end a process that has no handler for them (signal(7)); those of real time, from 32 on, do so, too.</summary>
    private static readonly ulong s_fatal = ~(Bit(SIGCHLD) | Bit(SIGCONT) | Bit(SIGSTOP) | Bit(SIGTSTP) | Bit(SIGTTIN) | Bit(SIGTTOU) | Bit(SIGURG) | Bit(SIGWINCH));

    /// <summary>Whether it is being killed, or is gone. The kernel marks each thread of such a process with SIGKILL, but not before a core is written.</summary>
    /// <param name="id">In this process' namespace; 0, for the kernel itself and for threads that cannot be seen from here, is never dying.</param>
    internal static bool IsDying(uint id)
    {
        if (id == 0)
            return false;
        try
        {
            ulong pending = 0, kept = 0, killed = 0;
            foreach (string line in File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/{id}/status")))
            {
                if (line.StartsWith("SigPnd:", StringComparison.Ordinal))
                    pending |= killed = Mask(line);
                else if (line.StartsWith("ShdPnd:", StringComparison.Ordinal))
                    pending |= Mask(line);
                else if (line.StartsWith("SigBlk:", StringComparison.Ordinal) || line.StartsWith("SigIgn:", StringComparison.Ordinal) || line.StartsWith("SigCgt:", StringComparison.Ordinal))
                    kept |= Mask(line);
            }
            return (killed & Bit(SIGKILL)) != 0 || (pending & ~kept & s_fatal) != 0;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return e is FileNotFoundException or DirectoryNotFoundException;
        }
    }

    private static ulong Mask(string line) =>
        ulong.TryParse(line.AsSpan(line.IndexOf(':', StringComparison.Ordinal) + 1).Trim(), NumberStyles.HexNumber, CultureInfo.InvariantCulture, out ulong mask) ? mask : 0;

    private static ulong Bit(int signal) => 1UL << (signal - 1);
}
