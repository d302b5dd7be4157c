namespace Rynxs.Server.Hosting;

/// <summary>The server could not start. The message is for the person at the terminal: it names what is wrong and holds no secret.</summary>
public sealed class ServerStartException(StartFailure failure, string message, Exception? innerException = null)
    : Exception(message, innerException)
{
    /// <summary>What kind of failure.</summary>
    public StartFailure Failure { get; } = failure;

    /// <summary>Exit code for the command line: 64 for options, 1 for the rest.</summary>
    public int ExitCode => Failure == StartFailure.InvalidOptions ? 64 : 1;
}

/// <summary>Why a server did not start.</summary>
public enum StartFailure
{
    /// <summary>One or more settings are wrong; the message has a line for each.</summary>
    InvalidOptions,

    /// <summary>Another server holds the state directory.</summary>
    StateLocked,

    /// <summary>The state directory cannot be created, read or written (permissions, read-only, full).</summary>
    StateUnavailable,

    /// <summary>Stored data does not verify.</summary>
    StateCorrupt,

    /// <summary>The listen address cannot be bound.</summary>
    AddressUnavailable,
}
