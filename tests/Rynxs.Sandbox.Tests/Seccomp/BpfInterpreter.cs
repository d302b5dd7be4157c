using System.Buffers.Binary;

namespace Rynxs.Sandbox.Tests.Seccomp;

/// <summary>Classic BPF as the kernel runs a seccomp filter, from the bytes that it is given. Written from linux/filter.h, without the assembler's types, so that both would have to be wrong alike.</summary>
internal static class BpfInterpreter
{
    public static uint Run(ReadOnlySpan<byte> program, uint architecture, int number, params ulong[] arguments)
    {
        byte[] data = new byte[64];
        BinaryPrimitives.WriteInt32LittleEndian(data, number);
        BinaryPrimitives.WriteUInt32LittleEndian(data.AsSpan(4), architecture);
        for (int i = 0; i < arguments.Length; i++)
        {
            BinaryPrimitives.WriteUInt64LittleEndian(data.AsSpan(16 + (i * 8)), arguments[i]);
        }

        uint accumulator = 0;
        int at = 0;
        int count = program.Length / 8;
        while (at < count)
        {
            ReadOnlySpan<byte> one = program.Slice(at * 8, 8);
            ushort code = BinaryPrimitives.ReadUInt16LittleEndian(one);
            uint value = BinaryPrimitives.ReadUInt32LittleEndian(one[4..]);
            at++;
            switch (code)
            {
                case 0x20: // BPF_LD | BPF_W | BPF_ABS; the kernel takes aligned offsets inside seccomp_data only
                    (value % 4 == 0 && value <= 60).ShouldBeTrue("the kernel would refuse this load");
                    accumulator = BinaryPrimitives.ReadUInt32LittleEndian(data.AsSpan((int)value));
                    break;
                case 0x54: // BPF_ALU | BPF_AND | BPF_K
                    accumulator &= value;
                    break;
                case 0x05: // BPF_JMP | BPF_JA
                    at = checked(at + (int)value);
                    break;
                case 0x15: // BPF_JEQ
                    at += accumulator == value ? one[2] : one[3];
                    break;
                case 0x35: // BPF_JGE
                    at += accumulator >= value ? one[2] : one[3];
                    break;
                case 0x45: // BPF_JSET
                    at += (accumulator & value) != 0 ? one[2] : one[3];
                    break;
                case 0x06: // BPF_RET | BPF_K
                    return value;
                default:
                    throw new InvalidOperationException($"instruction {at - 1} has the unknown code 0x{code:x}");
            }
        }

        throw new InvalidOperationException("a filter must end in an answer: the kernel refuses one that runs off its end");
    }
}
