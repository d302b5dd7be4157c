using System.Runtime.InteropServices;

namespace Rynxs.Sandbox.Seccomp;

/// <summary>An architecture that a filter can be made for. The numbers of system calls differ, and so does what must be refused before a number means anything.</summary>
/// <param name="Name">As in Go and in OCI images: <c>amd64</c> or <c>arm64</c>.</param>
/// <param name="AuditNumber">AUDIT_ARCH_* of <c>linux/audit.h</c>, which the kernel gives to a filter.</param>
/// <param name="OciName">Its name in an OCI profile.</param>
internal sealed record SeccompArchitecture(string Name, uint AuditNumber, string OciName)
{
    public static SeccompArchitecture Amd64 { get; } = new("amd64", 0xc000003e, "SCMP_ARCH_X86_64");

    public static SeccompArchitecture Arm64 { get; } = new("arm64", 0xc00000b7, "SCMP_ARCH_AARCH64");

    public static IReadOnlyList<SeccompArchitecture> All { get; } = [Amd64, Arm64];

    /// <summary>That of this machine; null where there is no table for it.</summary>
    public static SeccompArchitecture? OfThisMachine => RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => Amd64,
        Architecture.Arm64 => Arm64,
        _ => null,
    };

    /// <summary>
    /// Numbers from here on are those of x32, the second set of calls that a 64-bit x86 kernel may have under the same architecture number: without a test for it, every
    /// refusal could be gone around by adding this bit (the x32 calls were a way into the kernel of their own, too: CVE-2014-0038).
    /// </summary>
    public const uint FirstX32Number = 0x4000_0000;

    /// <summary>The number of a call here; null when this architecture does not have it.</summary>
    public int? NumberOf(DeniedCall call) => this == Amd64 ? call.Amd64 : call.Arm64;
}
