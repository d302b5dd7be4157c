using System.Diagnostics.Metrics;
using Rynxs.Policy.Budgets;
using Rynxs.Policy.Inference;

namespace Rynxs.Gateway.Inference;

/// <summary>What the gateway counts of calls of models. Labels come from closed sets: no names of callers, agents or models.</summary>
internal sealed class InferenceMetrics : IDisposable
{
    private static readonly double[] Buckets = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120];

    private readonly Meter _meter;
    private readonly Counter<long> _calls;
    private readonly Counter<long> _tokens;
    private readonly Counter<double> _cost;
    private readonly Counter<long> _denied;
    private readonly Counter<long> _upstream;
    private readonly Counter<long> _full;
    private readonly Counter<long> _redacted;
    private readonly Histogram<double> _duration;
    private readonly Histogram<double> _firstByte;

    public InferenceMetrics(IMeterFactory meters, Func<long> expired, Func<int> waiting)
    {
        _meter = meters.Create("Rynxs.Gateway.Inference");
        _calls = _meter.CreateCounter<long>("rynxs_inference_calls_total", null, "Calls of models that went out, by endpoint and outcome.");
        _tokens = _meter.CreateCounter<long>("rynxs_inference_tokens_total", null, "Tokens as upstreams reported them, by direction.");
        _cost = _meter.CreateCounter<double>("rynxs_inference_cost_usd_total", null, "Money that was charged, in USD.");
        _denied = _meter.CreateCounter<long>("rynxs_inference_denied_total", null, "Calls that were refused before anything went out, by reason.");
        _upstream = _meter.CreateCounter<long>("rynxs_inference_upstream_failures_total", null, "Attempts that failed, by kind of upstream and reason.");
        _full = _meter.CreateCounter<long>("rynxs_inference_charged_in_full_total", null, "Calls whose whole reservation was charged because nobody said what was used.");
        _redacted = _meter.CreateCounter<long>("rynxs_inference_redactions_total", null, "Requests and answers in which a detector replaced something.");
        InstrumentAdvice<double> advice = new() { HistogramBucketBoundaries = Buckets };
        _duration = _meter.CreateHistogram("rynxs_inference_duration_seconds", "s", "Time of a whole call, by endpoint.", tags: null, advice);
        _firstByte = _meter.CreateHistogram("rynxs_inference_first_byte_seconds", "s", "Time to the first byte of the answer's body, by endpoint.", tags: null, advice);
        _meter.CreateObservableCounter("rynxs_inference_reservations_expired_total", expired, null, "Reservations that nobody settled: charged in full.");
        _meter.CreateObservableGauge("rynxs_inference_records_waiting", waiting, null, "Records on the gateway's spool that the ledger does not have yet.");
    }

    public void Denied(string code) => _denied.Add(1, Tag("reason", code));

    public void UpstreamFailed(UpstreamKind kind, string code) => _upstream.Add(1, Tag("kind", kind.ToString()), Tag("reason", code));

    public void Redacted() => _redacted.Add(1);

    public void Ended(InferenceEndpoint endpoint, InferenceRecord.Completed record)
    {
        KeyValuePair<string, object?> name = Tag("endpoint", EndpointNames.Of(endpoint));
        _calls.Add(1, name, Tag("outcome", record.Outcome));
        _duration.Record(record.DurationMs / 1000, name);
        if (record.FirstByteMs is { } first)
        {
            _firstByte.Record(first / 1000, name);
        }

        if (record.InputTokens is { } input)
        {
            _tokens.Add(input, Tag("direction", "input"));
        }

        if (record.OutputTokens is { } output)
        {
            _tokens.Add(output, Tag("direction", "output"));
        }

        _cost.Add(record.ChargedNanoUsd / (double)Spend.NanoPerUsd);
        if (record.ChargedInFull)
        {
            _full.Add(1);
        }
    }

    public void Dispose() => _meter.Dispose();

    private static KeyValuePair<string, object?> Tag(string name, string value) => new(name, value);
}

/// <summary>Names of endpoints in records, metrics and policies.</summary>
public static class EndpointNames
{
    /// <summary>Such as <c>chat_completions</c>.</summary>
    public static string Of(InferenceEndpoint endpoint) => endpoint switch
    {
        InferenceEndpoint.ChatCompletions => "chat_completions",
        InferenceEndpoint.Responses => "responses",
        InferenceEndpoint.Embeddings => "embeddings",
        _ => "messages",
    };
}
