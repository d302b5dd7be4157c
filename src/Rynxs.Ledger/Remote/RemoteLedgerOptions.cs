namespace Rynxs.Ledger.Remote;

/// <summary>Settings of a <see cref="RemoteLedger"/>.</summary>
public sealed record RemoteLedgerOptions
{
    /// <summary>Address of the role <c>ledger</c>.</summary>
    public required Uri Address { get; init; }

    /// <summary>
    /// PEM file with the certificates that the role's must chain to, such as <c>STATE/tls/ca.crt</c> of the role; null: those of the system. For <c>https</c>
    /// addresses. Read once.
    /// </summary>
    public string? CaFile { get; init; }

    /// <summary>Gives the bearer token; asked before each request, so that a rotated one counts at once.</summary>
    public required Func<string> Token { get; init; }

    /// <summary>Who this writer is, for the record that the role makes when it refuses it: 1 to 253 characters without control characters; null for a random name of each opening.</summary>
    public string? Writer { get; init; }

    /// <summary>
    /// Where entries lie, durably, until the role has them: a directory of this writer alone, created with mode 0700. What is in it survives the
    /// process and the machine, and is lost with the disk: that is the loss window.
    /// </summary>
    public required string SpoolDirectory { get; init; }

    /// <summary>Bytes that may wait per chain, 256 MiB unless told. Beyond them appends are refused.</summary>
    public long SpoolBytes { get; init; } = 256L * 1024 * 1024;

    /// <summary>
    /// How long an append waits for the role, 30 s unless told. Then it fails with <see cref="LedgerUnavailableException"/>, and the entry stays in
    /// the spool: it will be recorded when the role is back, after those before it.
    /// </summary>
    public TimeSpan AppendTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>One request: 30 s unless told.</summary>
    public TimeSpan RequestTimeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Longest wait between attempts while the role is away: 5 s unless told.</summary>
    public TimeSpan MaxBackoff { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}
