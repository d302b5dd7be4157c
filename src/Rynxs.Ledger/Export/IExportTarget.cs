namespace Rynxs.Ledger.Export;

/// <summary>A receiver of events. One implementation per transport.</summary>
public interface IExportTarget : IAsyncDisposable
{
    /// <summary>
    /// Sends a batch and returns when the receiver has it, as far as its protocol can tell. After an exception any part of it may have arrived: it
    /// is sent again whole.
    /// </summary>
    /// <exception cref="ExportException">The receiver is away, refuses, or answered something else than success.</exception>
    Task SendAsync(IReadOnlyList<ExportedEvent> batch, CancellationToken cancellationToken);
}

/// <summary>A batch did not arrive, as far as is known. It stays in the log and is sent again.</summary>
public sealed class ExportException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>What targets need to know.</summary>
public sealed record ExportTargetOptions
{
    /// <summary>Version of the product, for the receiver.</summary>
    public required string Version { get; init; }

    /// <summary>HOSTNAME in syslog messages. Default: this machine's.</summary>
    public string HostName { get; init; } = Environment.MachineName;

    /// <summary>Bearer token of HTTP receivers; null for none. Never logged.</summary>
    public string? BearerToken { get; init; }

    /// <summary>PEM file with the certificates to trust for TLS instead of the system's; null for the system's.</summary>
    public string? CaFile { get; init; }

    /// <summary>A send that takes longer has failed. Default 30 s.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>Makes the target of a destination.</summary>
    /// <exception cref="ExportException">The CA file cannot be read.</exception>
    public IExportTarget Create(ExportDestination destination)
    {
        ArgumentNullException.ThrowIfNull(destination);
        return destination.Transport.Scheme switch
        {
            "tcp" or "tls" => new SyslogTarget(destination, this),
            "file" => new FileTarget(destination.Transport.LocalPath),
            _ => new HttpTarget(destination, this),
        };
    }
}
