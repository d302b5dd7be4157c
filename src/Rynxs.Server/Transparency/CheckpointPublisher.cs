using System.Security.Cryptography;
using Rynxs.Ledger;
using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Witnessing;
using Rynxs.Server.Hosting;

namespace Rynxs.Server.Transparency;

/// <summary>
/// Anchors the agents' chains and publishes signed checkpoints on a cadence, and once more at the end. What was appended since the last checkpoint is
/// covered by none: a smaller interval makes that window smaller.
/// </summary>
/// <remarks>
/// Stop: the loop ends by its token, then <see cref="DisposeAsync"/> publishes once more, within a time limit, before the ledger is closed. A failure
/// there is logged: the next start goes on from the last checkpoint.
/// </remarks>
internal sealed partial class CheckpointPublisher : IAsyncDisposable
{
    private static readonly TimeSpan Tick = TimeSpan.FromSeconds(1);
    private static readonly TimeSpan LastPublish = TimeSpan.FromSeconds(10);

    private readonly TransparencyLog _log;
    private readonly KeyDirectory _keys;
    private readonly HttpClient _http;
    private readonly TransparencyOptions _options;
    private readonly TimeProvider _time;
    private readonly ILogger<CheckpointPublisher> _logger;
    private int _alarms;
    private bool _quorum = true;

    private CheckpointPublisher(
        TransparencyLog log, KeyDirectory keys, HttpClient http, TransparencyOptions options, TimeProvider time, ILogger<CheckpointPublisher> logger) =>
        (_log, _keys, _http, _options, _time, _logger) = (log, keys, http, options, time, logger);

    /// <summary>What was published, for the endpoints.</summary>
    public TransparencyLog Log => _log;

    /// <summary>Public keys, newest first.</summary>
    public IReadOnlyList<VerifierKey> Keys => [.. _keys.SigningAt(_time.GetUtcNow()).Select(key => key.PublicKey)];

    /// <summary>Opens the keys (making them on the first start) and the control chain's tree.</summary>
    /// <exception cref="KeyDirectoryException">The keys cannot be used.</exception>
    /// <exception cref="ChainRolledBackException">The control chain is not the one that was signed.</exception>
    /// <exception cref="ServerStartException">The witness policy cannot be used.</exception>
    public static async Task<CheckpointPublisher> OpenAsync(
        AnchoredLedger ledger, ILedgerChain control, string ledgerDirectory, string keyDirectory, TransparencyOptions options, TimeProvider time,
        ILogger<CheckpointPublisher> logger, CancellationToken cancellationToken)
    {
        WitnessSetup witnesses = ReadWitnesses(options);
        KeyDirectory keys = KeyDirectory.Exists(keyDirectory)
            ? KeyDirectory.Open(keyDirectory)
            : KeyDirectory.Create(
                keyDirectory, options.Origin ?? "rynxs.local/" + Convert.ToHexStringLower(RandomNumberGenerator.GetBytes(6)), NoteSignatureType.Ed25519, time);

        // A redirect could lead a request with a token elsewhere.
        var http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false, PooledConnectionLifetime = TimeSpan.FromMinutes(5) });
        try
        {
            TransparencyLog log = await TransparencyLog.OpenAsync(
                new TransparencyLogOptions
                {
                    Ledger = ledger,
                    Control = control,
                    Trees = chain => new FileTreeStore(Path.Combine(ledgerDirectory, chain.RelativePath)),
                    Keys = keys,
                    Witnesses = [.. witnesses.Endpoints.Select(endpoint => new WitnessClient(http, endpoint, TimeSpan.FromSeconds(options.WitnessTimeoutSeconds)))],
                    Quorum = witnesses.Quorum,
                    TimeProvider = time,
                },
                cancellationToken);
            return new CheckpointPublisher(log, keys, http, options, time, logger);
        }
        catch
        {
            http.Dispose();
            keys.Dispose();
            throw;
        }
    }

    /// <summary>Publishes until cancelled.</summary>
    public async Task RunAsync(CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Tick, _time);
        long published = _time.GetTimestamp();
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            bool due = _time.GetElapsedTime(published).TotalSeconds >= _options.IntervalSeconds;
            if (due || _log.Uncovered >= _options.Records)
            {
                await PublishAsync(cancellationToken);
                published = _time.GetTimestamp();
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask DisposeAsync()
    {
        using var limit = new CancellationTokenSource(LastPublish, _time);
        try
        {
            await PublishAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            LogNotPublished("the stop did not wait longer");
        }
        finally
        {
            _http.Dispose();
            _keys.Dispose();
        }
    }

    private static WitnessSetup ReadWitnesses(TransparencyOptions options)
    {
        try
        {
            return WitnessSetup.Read(options.WitnessPolicyPath, options.WitnessTokenPath);
        }
        catch (InvalidDataException exception)
        {
            throw new ServerStartException(StartFailure.InvalidOptions, "--witness-policy: " + exception.Message, exception);
        }
    }

    private async Task PublishAsync(CancellationToken cancellationToken)
    {
        try
        {
            TransparencyStatus status = await _log.PublishAsync(cancellationToken);
            foreach (string alarm in status.Alarms.Skip(_alarms))
            {
                LogAlarm(alarm);
            }

            _alarms = status.Alarms.Count;
            if (status.QuorumMet != _quorum)
            {
                _quorum = status.QuorumMet;
                LogQuorum(_quorum, string.Join("; ", status.Witnesses.Where(witness => witness.Detail is not null).Select(witness => $"{witness.Witness}: {witness.Detail}")));
            }
        }
        catch (Exception exception) when (exception is LedgerUnavailableException or LedgerCorruptException)
        {
            // The records are safe; only their checkpoint is late. Appending fails on its own when the disk does.
            LogNotPublished(exception.Message);
        }
    }

    [LoggerMessage(Level = LogLevel.Critical, Message = "Audit evidence was altered: {Alarm}")]
    private partial void LogAlarm(string alarm);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Witness quorum met: {Met}. {Details}")]
    private partial void LogQuorum(bool met, string details);

    [LoggerMessage(Level = LogLevel.Error, Message = "No checkpoint was published: {Reason}")]
    private partial void LogNotPublished(string reason);
}
