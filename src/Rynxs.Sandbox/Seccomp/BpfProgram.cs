using System.Buffers.Binary;

namespace Rynxs.Sandbox.Seccomp;

/// <summary>One instruction of classic BPF (<c>struct sock_filter</c> of <c>linux/filter.h</c>).</summary>
internal readonly record struct BpfInstruction(ushort Code, byte True, byte False, uint Value);

/// <summary>
/// Assembles a seccomp filter. Every jump is over a fixed number of instructions that this class counts, so no label can be out of reach: a conditional jump holds 8 bits, and a filter that
/// was cut there would allow what it should refuse.
/// </summary>
internal sealed class BpfProgram
{
    /// <summary>BPF_MAXINSNS: the kernel refuses a longer one.</summary>
    public const int MaxInstructions = 4096;

    /// <summary>Bytes of an instruction.</summary>
    public const int InstructionBytes = 8;

    public const ushort LoadWord = 0x20, And = 0x54, Jump = 0x05, JumpIfEqual = 0x15, JumpIfAtLeast = 0x35, JumpIfAnyBit = 0x45, Return = 0x06;

    /// <summary>Offsets in <c>struct seccomp_data</c>; little-endian, as every Linux of both architectures is.</summary>
    public const uint OffsetNumber = 0, OffsetArchitecture = 4, OffsetArguments = 16;

    private readonly List<BpfInstruction> _instructions = [];

    public IReadOnlyList<BpfInstruction> Instructions => _instructions;

    /// <summary>Offset of the low half of an argument.</summary>
    public static uint OffsetOfArgument(int argument) => OffsetArguments + ((uint)argument * 8);

    public void Add(ushort code, uint value = 0) => Add(new BpfInstruction(code, 0, 0, value));

    /// <summary>Runs the body when the accumulator passes the test, else goes on behind it.</summary>
    public void If(ushort test, uint value, Action<BpfProgram> body)
    {
        var inner = new BpfProgram();
        body(inner);
        Add(new BpfInstruction(test, 1, 0, value));
        Add(Jump, (uint)inner._instructions.Count); // 32 bits wide
        Append(inner);
    }

    /// <summary>Runs the body unless the accumulator passes the test.</summary>
    public void IfNot(ushort test, uint value, Action<BpfProgram> body)
    {
        var inner = new BpfProgram();
        body(inner);
        Add(new BpfInstruction(test, 0, 1, value));
        Add(Jump, (uint)inner._instructions.Count);
        Append(inner);
    }

    /// <summary>As the kernel, and bubblewrap, take it.</summary>
    public byte[] ToBytes()
    {
        byte[] bytes = new byte[_instructions.Count * InstructionBytes];
        for (int i = 0; i < _instructions.Count; i++)
        {
            Span<byte> one = bytes.AsSpan(i * InstructionBytes, InstructionBytes);
            BinaryPrimitives.WriteUInt16LittleEndian(one, _instructions[i].Code);
            one[2] = _instructions[i].True;
            one[3] = _instructions[i].False;
            BinaryPrimitives.WriteUInt32LittleEndian(one[4..], _instructions[i].Value);
        }

        return bytes;
    }

    private void Append(BpfProgram inner) => inner._instructions.ForEach(Add);

    private void Add(BpfInstruction instruction)
    {
        if (_instructions.Count == MaxInstructions)
        {
            throw new InvalidOperationException($"a filter holds at most {MaxInstructions} instructions");
        }

        _instructions.Add(instruction);
    }
}
