namespace Rynxs.Cli;

/// <summary>Exit codes of the command line. <c>run</c> and <c>exec</c> return the program's own code instead, and 124, 125 or 137 when there is none.</summary>
internal static class ExitCodes
{
    public const int Ok = 0;
    public const int Failure = 1;

    /// <summary>A ledger or audit chain does not verify.</summary>
    public const int VerificationFailed = 2;

    /// <summary><c>diff</c> failed, where 1 says that there are differences (as with diff(1)).</summary>
    public const int DiffFailed = 2;

    /// <summary>The command line itself is wrong (EX_USAGE).</summary>
    public const int Usage = 64;

    /// <summary>A program in a sandbox passed its deadline, as with timeout(1).</summary>
    public const int ProgramTimeout = 124;

    /// <summary><c>run</c> and <c>exec</c>: Rynxs failed, not the program.</summary>
    public const int NotTheProgram = 125;

    /// <summary>A program was ended together with its sandbox (128 + SIGKILL).</summary>
    public const int ProgramKilled = 137;

    /// <summary>Interrupted by the user (128 + SIGINT).</summary>
    public const int Interrupted = 130;
}
