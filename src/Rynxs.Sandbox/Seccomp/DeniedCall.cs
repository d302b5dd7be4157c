namespace Rynxs.Sandbox.Seccomp;

/// <summary>
/// A test of one argument. Only the low 32 bits count: the kernel's own parameters are that wide for all that is tested here, so a filter that compared 64 would be passed
/// by a value with a bit set above them (CVE-2019-10063).
/// </summary>
internal abstract record ArgumentTest(int Argument)
{
    private ArgumentTest()
        : this(0)
    {
    }

    /// <summary>Equal to the value under the mask.</summary>
    public sealed record Equal(int Argument, uint Value, uint Mask = uint.MaxValue) : ArgumentTest(Argument);

    /// <summary>Shares a bit with the mask.</summary>
    public sealed record AnyBit(int Argument, uint Mask) : ArgumentTest(Argument);

    /// <summary>The value or more, unsigned.</summary>
    public sealed record AtLeast(int Argument, uint Value) : ArgumentTest(Argument);
}

/// <summary>All of these at once.</summary>
/// <param name="Meaning">In words, for the documentation.</param>
/// <param name="Tests">Each of another argument: an OCI profile cannot join two tests of one.</param>
internal sealed record DeniedWhen(string Meaning, params ArgumentTest[] Tests);

/// <summary>A system call that the filter refuses.</summary>
/// <param name="Name">As in the kernel's tables and in an OCI profile.</param>
/// <param name="Amd64">Number on x86-64; null when it has none there.</param>
/// <param name="Arm64">Number on arm64; null when it has none there.</param>
internal sealed record DeniedCall(string Name, int? Amd64, int? Arm64)
{
    /// <summary>Why, in one line, the same for all calls of a group.</summary>
    public required string Why { get; init; }

    /// <summary>The error that the caller sees.</summary>
    public int Error { get; init; } = Native.Libc.EPERM;

    /// <summary>Denied when one of these holds; always when there is none.</summary>
    public IReadOnlyList<DeniedWhen> When { get; init; } = [];
}
