using Rynxs.Ledger.Files;
using Rynxs.Ledger.Replay;
using Rynxs.Ledger.Stores.S3;
using Rynxs.Ledger.Stores.Sqlite;

namespace Rynxs.Ledger.Stores.Copying;

/// <summary>Where a ledger lies, as people write it: a directory, <c>sqlite:PATH</c>, or <c>s3://BUCKET/PREFIX</c>.</summary>
public abstract record LedgerLocation
{
    private LedgerLocation()
    {
    }

    /// <summary>A directory of files.</summary>
    public sealed record Files(string Directory) : LedgerLocation;

    /// <summary>A SQLite file.</summary>
    public sealed record Sqlite(string Path) : LedgerLocation;

    /// <summary>A bucket.</summary>
    public sealed record S3(S3LedgerOptions Options) : LedgerLocation;

    /// <summary>
    /// Reads a location. What an S3 address does not say comes from the variables that other S3 programs use: <c>AWS_ENDPOINT_URL_S3</c>,
    /// <c>AWS_ENDPOINT_URL</c>, <c>AWS_REGION</c>; keys are found by the SDK.
    /// </summary>
    /// <exception cref="ArgumentException">It is none of the three forms.</exception>
    public static LedgerLocation Parse(string text, Func<string, string?> environment)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(text);
        ArgumentNullException.ThrowIfNull(environment);
        if (text.StartsWith("sqlite:", StringComparison.Ordinal))
        {
            return text.Length > 7 ? new Sqlite(text[7..]) : throw new ArgumentException("sqlite: needs a path behind it.", nameof(text));
        }

        if (!text.StartsWith("s3://", StringComparison.Ordinal))
        {
            return text.Contains("://", StringComparison.Ordinal)
                ? throw new ArgumentException($"'{text}' is no ledger: give a directory, sqlite:PATH or s3://BUCKET/PREFIX.", nameof(text))
                : new Files(text);
        }

        string[] parts = text[5..].Split('/', 2);
        string? endpoint = environment("AWS_ENDPOINT_URL_S3") ?? environment("AWS_ENDPOINT_URL");
        Uri? address = null;
        if (endpoint is { Length: > 0 } && !(Uri.TryCreate(endpoint, UriKind.Absolute, out address) && address.Scheme is "http" or "https"))
        {
            throw new ArgumentException($"AWS_ENDPOINT_URL_S3: '{endpoint}' is no http address.", nameof(text));
        }

        var options = new S3LedgerOptions
        {
            Bucket = parts[0],
            Prefix = parts is [_, var prefix] ? prefix.Trim('/') : "",
            Endpoint = address,
            Region = environment("AWS_REGION") ?? "us-east-1",
        };
        options.Validate();
        return new S3(options);
    }

    /// <summary>Opens the ledger there for writing.</summary>
    /// <exception cref="LedgerUnavailableException">It cannot be opened.</exception>
    /// <exception cref="LedgerLockedException">Another process writes to it.</exception>
    public async Task<ILedger> OpenLedgerAsync(CancellationToken cancellationToken) => this switch
    {
        Files files => await FileLedger.OpenAsync(new FileLedgerOptions { Directory = files.Directory }, cancellationToken).ConfigureAwait(false),
        Sqlite sqlite => await SqliteLedger.OpenAsync(new SqliteLedgerOptions { Path = sqlite.Path }, cancellationToken).ConfigureAwait(false),
        S3 s3 => await S3Ledger.OpenAsync(s3.Options, cancellationToken).ConfigureAwait(false),
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    /// <summary>
    /// The chains there for replay and forensics, the control chain first: everything that is stored of them, verified as it is read. Nothing stays
    /// open between readings.
    /// </summary>
    /// <exception cref="FileNotFoundException">There is nothing.</exception>
    /// <exception cref="LedgerUnavailableException">The store cannot be read.</exception>
    public async Task<IReadOnlyList<LogSource>> OpenLogsAsync(CancellationToken cancellationToken)
    {
        if (this is Files files)
        {
            return LogSource.OpenAll(files.Directory);
        }

        LedgerReader reader = OpenReader();
        await using (reader.ConfigureAwait(false))
        {
            IReadOnlyList<ChainId> chains = await reader.ListChainsAsync(cancellationToken).ConfigureAwait(false);
            return chains.Count == 0
                ? throw new FileNotFoundException($"There is no chain in {Name}.")
                : [.. chains.OrderBy(id => id != ChainId.Control).Select(LogOf)];
        }
    }

    /// <summary>For messages.</summary>
    public string Name => this switch
    {
        Files files => files.Directory,
        Sqlite sqlite => "sqlite:" + sqlite.Path,
        S3 s3 => $"s3://{s3.Options.Bucket}/{s3.Options.Prefix}",
        _ => throw new System.Diagnostics.UnreachableException(),
    };

    private LogSource LogOf(ChainId id) => new()
    {
        Chain = id.RelativePath,
        Files = [$"{Name}, chain {id}"],
        // What replays is synchronous, as reading files is; this is where it waits for a store.
        Lines = () => LinesAsync(id).ToBlockingEnumerable(CancellationToken.None),
    };

    private async IAsyncEnumerable<ReadOnlyMemory<byte>> LinesAsync(ChainId id)
    {
        LedgerReader reader = OpenReader();
        await using (reader.ConfigureAwait(false))
        {
            // Without the head that the store states: what lies behind it must show.
            await foreach (RawLines lines in reader.ReadLinesAsync(id, 0, head: null, CancellationToken.None).ConfigureAwait(false))
            {
                yield return lines.Lines;
            }
        }
    }

    /// <summary>Opens what is there for reading; takes no lock and changes nothing.</summary>
    /// <exception cref="FileNotFoundException">There is nothing.</exception>
    public LedgerReader OpenReader() => this switch
    {
        Files files => new FileLedgerReader(files.Directory),
        Sqlite sqlite => new SqliteLedgerReader(sqlite.Path),
        S3 s3 => new S3LedgerReader(s3.Options),
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
