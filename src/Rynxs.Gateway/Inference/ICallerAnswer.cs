namespace Rynxs.Gateway.Inference;

/// <summary>Where the answer of a call goes: an HTTP response, or a reader in this process.</summary>
internal interface ICallerAnswer
{
    /// <summary>Whether the head is out: after that a failure can only break off.</summary>
    bool HasStarted { get; }

    /// <summary>Whether the body was ended, or broken off.</summary>
    bool HasEnded { get; }

    /// <summary>Sends the head.</summary>
    ValueTask BeginAsync(int status, string contentType, IReadOnlyList<KeyValuePair<string, string>> headers, CancellationToken cancellationToken);

    /// <summary>Sends bytes of the body at once; waits while the caller does not read.</summary>
    ValueTask WriteAsync(ReadOnlyMemory<byte> bytes, CancellationToken cancellationToken);

    /// <summary>The body is whole.</summary>
    ValueTask EndAsync(CancellationToken cancellationToken);

    /// <summary>Breaks off, so that the caller sees that the answer is not whole.</summary>
    void Abort();
}
