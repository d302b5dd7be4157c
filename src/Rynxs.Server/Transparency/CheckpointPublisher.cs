using System.Globalization;
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
    private string _policy = "";
    private string _refused = "";
    private bool _retry;
    private volatile PublisherState _state = new(0, null, null);

    private CheckpointPublisher(
        TransparencyLog log, KeyDirectory keys, HttpClient http, TransparencyOptions options, TimeProvider time, ILogger<CheckpointPublisher> logger) =>
        (_log, _keys, _http, _options, _time, _logger) = (log, keys, http, options, time, logger);

    /// <summary>What was published, for the endpoints.</summary>
    public TransparencyLog Log => _log;

    /// <summary>Public keys, newest first.</summary>
    public IReadOnlyList<VerifierKey> Keys => [.. _keys.SigningAt(_time.GetUtcNow()).Select(key => key.PublicKey)];

    /// <summary>How publishing goes, for metrics and health.</summary>
    public PublisherState State => _state;

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
                    Witnesses = Clients(witnesses, http, options),
                    Quorum = witnesses.Quorum,
                    TimeProvider = time,
                },
                cancellationToken);
            return new CheckpointPublisher(log, keys, http, options, time, logger) { _policy = PolicyOf(options) };
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
            if (FollowSettings() || due || _log.Uncovered >= _options.Records)
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

    private static IReadOnlyList<WitnessClient> Clients(WitnessSetup witnesses, HttpClient http, TransparencyOptions options) =>
        [.. witnesses.Endpoints.Select(endpoint => new WitnessClient(http, endpoint, TimeSpan.FromSeconds(options.WitnessTimeoutSeconds)))];

    /// <summary>What the policy and token files are by their metadata: another value means that they may say something else.</summary>
    private static string PolicyOf(TransparencyOptions options) => string.Join('|', new[] { options.WitnessPolicyPath, options.WitnessTokenPath }.OfType<string>().Select(path =>
    {
        var file = new FileInfo(path);
        return file.Exists ? string.Create(CultureInfo.InvariantCulture, $"{file.Length} {file.LastWriteTimeUtc.Ticks}") : "-";
    }));

    /// <summary>
    /// Takes keys that were rotated and a witness policy that was changed while the server runs. True when a checkpoint should follow at once. What cannot
    /// be read is an alarm, and leaves things as they are: a server that stops signing would help nobody who keeps checkpoints.
    /// </summary>
    private bool FollowSettings()
    {
        try
        {
            bool changed = _keys.Refresh();
            if (changed)
            {
                LogKeys(string.Join(" ", Keys));
            }

            string policy = PolicyOf(_options);
            if (policy != _policy || _retry)
            {
                // A changed file that cannot be read is read again at each look, not only when its metadata change once more.
                _retry = true;
                WitnessSetup witnesses = WitnessSetup.Read(_options.WitnessPolicyPath, _options.WitnessTokenPath);
                _log.UseWitnesses(Clients(witnesses, _http, _options), witnesses.Quorum);
                (_policy, _retry, changed) = (policy, false, true);
                LogPolicy(witnesses.Endpoints.Count);
            }

            _state = _state with { SettingsProblem = null };
            return changed;
        }
        catch (Exception exception) when (exception is KeyDirectoryException or InvalidDataException)
        {
            if (_state.SettingsProblem != exception.Message)
            {
                LogSettings(exception.Message);
            }

            _state = _state with { SettingsProblem = exception.Message };
            return false;
        }
    }

    private async Task PublishAsync(CancellationToken cancellationToken)
    {
        try
        {
            TransparencyStatus status = await _log.PublishAsync(cancellationToken);
            _state = _state with { Problem = null };
            LogRefusals(status);
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
            _state = _state with { Failures = _state.Failures + 1, Problem = exception.Message };
            LogNotPublished(exception.Message);
        }
    }

    /// <summary>A witness that saw more than this log has, or another history, is the alarm that witnesses are for.</summary>
    private void LogRefusals(TransparencyStatus status)
    {
        string refused = string.Join(
            "; ", status.Witnesses.Where(witness => witness.Outcome is WitnessOutcome.Ahead or WitnessOutcome.Refused).Select(witness => $"{witness.Witness}: {witness.Detail}"));
        if (refused != _refused && refused.Length > 0)
        {
            LogRefused(refused);
        }

        _refused = refused;
    }

    [LoggerMessage(Level = LogLevel.Critical, Message = "A witness does not accept this log as the one that it knows: {Details}")]
    private partial void LogRefused(string details);

    [LoggerMessage(Level = LogLevel.Information, Message = "The log's keys were changed; these sign now: {Keys}")]
    private partial void LogKeys(string keys);

    [LoggerMessage(Level = LogLevel.Information, Message = "The witness policy was changed; {Count} witnesses are asked now")]
    private partial void LogPolicy(int count);

    [LoggerMessage(Level = LogLevel.Error, Message = "Changed keys or a changed witness policy were not taken: {Reason}")]
    private partial void LogSettings(string reason);

    [LoggerMessage(Level = LogLevel.Critical, Message = "Audit evidence was altered: {Alarm}")]
    private partial void LogAlarm(string alarm);

    [LoggerMessage(Level = LogLevel.Warning, Message = "Witness quorum met: {Met}. {Details}")]
    private partial void LogQuorum(bool met, string details);

    [LoggerMessage(Level = LogLevel.Error, Message = "No checkpoint was published: {Reason}")]
    private partial void LogNotPublished(string reason);
}

/// <summary>How publishing goes.</summary>
/// <param name="Failures">Attempts that failed since the start.</param>
/// <param name="Problem">Why the last attempt failed; null when it did not.</param>
/// <param name="SettingsProblem">Why changed keys or a changed witness policy were not taken; null when there is nothing to take.</param>
internal sealed record PublisherState(long Failures, string? Problem, string? SettingsProblem);
