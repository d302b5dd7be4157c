using System.Buffers.Binary;
using System.Runtime.InteropServices;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Spawning;

/// <summary>
/// A seccomp filter for the threads that start runsc. Every runsc registers for expedited membarriers when it begins, and the kernel makes
/// a process with several threads wait for all CPUs then (8 to 14 ms each, 3 to 5 times a sandbox). Told that the call does not exist, runsc does without.
/// </summary>
/// <remarks>
/// Only the question (which alone would make runsc complain on standard error) and the registration are refused. The .NET runtime asked and registered when
/// it started, and uses the barrier itself in garbage collections, which may begin on any thread, so refusing the whole call would break it (decision 0025).
/// Children inherit the filter.
/// </remarks>
internal static unsafe class SpawnFilter
{
    private const int PrSetSeccomp = 22, ModeFilter = 2;
    private const ushort LoadWord = 0x20, JumpIfEqual = 0x15, Return = 0x06;
    private const uint Allow = 0x7fff0000, ErrorNoSuchCall = 0x00050000 | 38;
    private const uint MembarrierQuery = 0, MembarrierRegisterPrivateExpedited = 16;
    private const uint OffsetNumber = 0, OffsetArchitecture = 4, OffsetFirstArgument = 16;

    /// <summary>Installs it on the calling thread, for good. False where the host does not allow it: everything works then, slower.</summary>
    public static bool TryInstall()
    {
        (uint architecture, uint membarrier) = RuntimeInformation.ProcessArchitecture switch
        {
            Architecture.X64 => (0xc000003eu, 324u),
            Architecture.Arm64 => (0xc00000b7u, 283u),
            _ => (0u, 0u),
        };
        if (architecture == 0)
        {
            return false;
        }

        ReadOnlySpan<(ushort Code, byte True, byte False, uint Value)> program =
        [
            (LoadWord, 0, 0, OffsetArchitecture),
            (JumpIfEqual, 0, 6, architecture),
            (LoadWord, 0, 0, OffsetNumber),
            (JumpIfEqual, 0, 4, membarrier),
            (LoadWord, 0, 0, OffsetFirstArgument),
            (JumpIfEqual, 1, 0, MembarrierQuery),
            (JumpIfEqual, 0, 1, MembarrierRegisterPrivateExpedited),
            (Return, 0, 0, ErrorNoSuchCall),
            (Return, 0, 0, Allow),
        ];
        byte* instructions = stackalloc byte[program.Length * 8];
        for (int i = 0; i < program.Length; i++)
        {
            var one = new Span<byte>(instructions + (i * 8), 8);
            BinaryPrimitives.WriteUInt16LittleEndian(one, program[i].Code);
            one[2] = program[i].True;
            one[3] = program[i].False;
            BinaryPrimitives.WriteUInt32LittleEndian(one[4..], program[i].Value);
        }

        byte* header = stackalloc byte[16]; // u16 length, padding, pointer
        *(ulong*)header = (ulong)program.Length;
        *(byte**)(header + 8) = instructions;
        return Libc.prctl(PrSetSeccomp, ModeFilter, (long)header, 0, 0) == 0;
    }
}
