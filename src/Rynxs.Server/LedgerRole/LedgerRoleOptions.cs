namespace Rynxs.Server.LedgerRole;

/// <summary>Settings of the role <c>ledger</c>.</summary>
public sealed record LedgerRoleOptions
{
    /// <summary>Address and port, <c>127.0.0.1:8004</c> unless told; port 0 for a free one.</summary>
    public string Listen { get; init; } = "127.0.0.1:8004";

    /// <summary>
    /// TLS with a certificate of the authority in <c>STATE/tls</c>, which is made when it is missing; clients trust its <c>ca.crt</c>. Without it plain
    /// HTTP: beyond this machine something else must then encrypt, because tokens go over it.
    /// </summary>
    public bool Tls { get; init; }

    /// <summary>Further host names and addresses of the certificate, beside localhost and the loopback addresses.</summary>
    public IReadOnlyList<string> TlsNames { get; init; } = [];

    /// <summary>Directory of <c>tokens.json</c>, as <c>rynxs token create</c> makes it.</summary>
    public required string StateDirectory { get; init; }

    /// <summary>Where the chains lie: a directory, <c>sqlite:PATH</c> or <c>s3://BUCKET/PREFIX</c>.</summary>
    public required string Store { get; init; }

    /// <summary>Appends that may be in work at once, 256 unless told; the next one is answered with 429.</summary>
    public int MaxAppends { get; init; } = 256;

    /// <summary>Bytes of append bodies that may be in work at once, 256 MiB unless told; the next one is answered with 429. At least one body of 32 MiB.</summary>
    public long MaxAppendBytes { get; init; } = 256L * 1024 * 1024;

    /// <summary>How long a reader that waits for an append is kept: 20 s unless told.</summary>
    public TimeSpan MaxWait { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>How long the stop waits for requests that run: 15 s unless told.</summary>
    public TimeSpan Drain { get; init; } = TimeSpan.FromSeconds(15);

    /// <summary>Clock.</summary>
    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    /// <summary>Where log lines go; standard error when null.</summary>
    public TextWriter? LogWriter { get; init; }

    /// <summary>Least level that is logged.</summary>
    public LogLevel LogLevel { get; init; } = LogLevel.Information;
}
