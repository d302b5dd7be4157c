using System.Runtime.InteropServices;

namespace Rynxs.Sandbox.Native;

/// <summary>
/// A process by its pidfd: signals reach this process or nobody, and while a call uses the descriptor its number cannot be closed and given
/// to another file.
/// </summary>
internal sealed class ProcessHandle : SafeHandle
{
    private ProcessHandle(int descriptor)
        : base(-1, ownsHandle: true) => SetHandle(descriptor);

    public override bool IsInvalid => handle < 0;

    /// <summary>Null when there is no such process (or no descriptor left to hold it by).</summary>
    public static ProcessHandle? Open(int pid)
    {
        int descriptor = Libc.OpenPidfd(pid);
        return descriptor >= 0 ? new ProcessHandle(descriptor) : null;
    }

    /// <summary>Sends SIGKILL; nothing happens when it has ended.</summary>
    public void Kill() => Use(descriptor => Libc.KillPidfd(descriptor));

    /// <summary>Sends SIGSTOP: from then on it uses no CPU.</summary>
    public void Stop() => Use(descriptor => Libc.SignalPidfd(descriptor, Libc.SigStop));

    /// <summary>Sends SIGCONT.</summary>
    public void Continue() => Use(descriptor => Libc.SignalPidfd(descriptor, Libc.SigCont));

    /// <summary>True when it ended within the time, in milliseconds.</summary>
    public bool HasEnded(int milliseconds) => Use(descriptor => Libc.HasEnded(descriptor, milliseconds));

    protected override bool ReleaseHandle() => Libc.close((int)handle) == 0;

    /// <summary>Our handle is closed only when the process was reaped.</summary>
    private bool Use(Func<int, bool> call)
    {
        bool added = false;
        try
        {
            DangerousAddRef(ref added);
            return call((int)handle);
        }
        catch (ObjectDisposedException)
        {
            return true;
        }
        finally
        {
            if (added)
            {
                DangerousRelease();
            }
        }
    }
}
