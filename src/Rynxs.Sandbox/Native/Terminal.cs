using System.Runtime.InteropServices;

namespace Rynxs.Sandbox.Native;

/// <summary>A pseudo-terminal: we hold the master, the program's kernel the other end.</summary>
internal static unsafe partial class Terminal
{
    private const string Library = "libc";
    private const nuint SetSize = 0x5414, GetAttributes = 0x5401;
    private const int SignalsFlag = 1; // ISIG in c_lflag

    /// <summary>Both ends, closed on exec.</summary>
    /// <exception cref="System.ComponentModel.Win32Exception">The host has no more.</exception>
    public static (int Master, int Slave) Open(TerminalSize size)
    {
        const int noControllingTerminal = 0x100;
        int master = posix_openpt(Libc.O_RDWR | noControllingTerminal | Libc.O_CLOEXEC);
        if (master < 0 || grantpt(master) != 0 || unlockpt(master) != 0)
        {
            throw Libc.LastError("pseudo-terminal");
        }

        byte* name = stackalloc byte[128];
        int failed = ptsname_r(master, name, 128);
        int slave = failed != 0 ? -1 : Libc.open(Marshal.PtrToStringUTF8((nint)name) ?? "", Libc.O_RDWR | noControllingTerminal | Libc.O_CLOEXEC, 0);
        if (slave < 0)
        {
            _ = Libc.close(master);
            throw Libc.LastError("pseudo-terminal");
        }

        Resize(master, size);
        return (master, slave);
    }

    public static bool Resize(int master, TerminalSize size)
    {
        ushort* window = stackalloc ushort[4] { (ushort)size.Rows, (ushort)size.Columns, 0, 0 };
        return ioctl(master, SetSize, window) == 0;
    }

    /// <summary>Whether typed characters mean signals now; a program in raw mode gets them as characters.</summary>
    public static bool TakesSignals(int master)
    {
        uint* attributes = stackalloc uint[16];
        return ioctl(master, GetAttributes, attributes) == 0 && (attributes[3] & SignalsFlag) != 0;
    }

    [LibraryImport(Library, SetLastError = true)]
    private static partial int posix_openpt(int flags);

    [LibraryImport(Library, SetLastError = true)]
    private static partial int grantpt(int fd);

    [LibraryImport(Library, SetLastError = true)]
    private static partial int unlockpt(int fd);

    [LibraryImport(Library)]
    private static partial int ptsname_r(int fd, byte* name, nuint length);

    [LibraryImport(Library, SetLastError = true)]
    private static partial int ioctl(int fd, nuint request, void* argument);
}
