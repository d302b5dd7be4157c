namespace Rynxs.Ledger.Events;

/// <summary>A tunnel or request out of a sandbox was allowed and is about to be connected: written before anything goes out.</summary>
public sealed record EgressOpened : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(EgressOpened);

    /// <summary>The channel: the sandbox, or <c>fetch</c> for the agent's own tool.</summary>
    public required string Channel { get; init; }

    /// <summary>Number of the flow within the channel, from 1.</summary>
    public required long Flow { get; init; }

    /// <summary>Host name, in lower case.</summary>
    public required string Host { get; init; }

    public required int Port { get; init; }

    /// <summary><c>tls</c>, <c>http</c> or <c>tcp</c>.</summary>
    public required string Protocol { get; init; }

    /// <summary>Method of plain HTTP; <c>other</c> for one that is not of RFC 9110 or 5789. The path is no part of a record: it can hold secrets.</summary>
    public string? Method { get; init; }

    /// <summary>The rule that allowed it: <c>POLICY/RULE</c>, or <c>approval/NAME</c>.</summary>
    public required string Rule { get; init; }
}

/// <summary>A flow ended.</summary>
public sealed record EgressClosed : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(EgressClosed);

    public required string Channel { get; init; }

    public required long Flow { get; init; }

    /// <summary>From the sandbox.</summary>
    public required long BytesOut { get; init; }

    /// <summary>To the sandbox.</summary>
    public required long BytesIn { get; init; }

    /// <summary>Such as <c>completed</c> or <c>permission_ended</c>.</summary>
    public required string End { get; init; }
}

/// <summary>Something was not let out. Equal denials are told once a minute with their number.</summary>
public sealed record EgressDenied : LedgerPayload
{
    /// <inheritdoc/>
    public override string EventType => nameof(EgressDenied);

    public required string Channel { get; init; }

    /// <summary>Host name as asked for; null when what was asked for is none.</summary>
    public string? Host { get; init; }

    public required int Port { get; init; }

    /// <summary><c>tls</c>, <c>http</c> or <c>tcp</c>; null when unknown.</summary>
    public string? Protocol { get; init; }

    /// <summary>Such as <c>policy</c>, <c>raw_address</c> or <c>tls_name</c>.</summary>
    public required string Reason { get; init; }

    /// <summary>The rule that denied or asks; null when none matched.</summary>
    public string? Rule { get; init; }

    /// <summary>How often since it was last told, at least 1.</summary>
    public required long Count { get; init; }
}
