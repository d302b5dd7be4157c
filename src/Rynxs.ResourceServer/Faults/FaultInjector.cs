namespace Rynxs.ResourceServer.Faults;

/// <summary>
/// Makes a resource server misbehave as real ones do, for tests of clients and controllers: refusals, delays, conflicts, watches that are cut or expire. Set in
/// ResourceApiOptions, which production never does. Safe to change while the server runs.
/// </summary>
public sealed class FaultInjector
{
    private readonly Lock _lock = new();
    private readonly List<FaultRule> _rules = [];

    /// <summary>Adds a rule; earlier ones come first. Dispose of it to end it.</summary>
    public FaultRule Add(FaultMatch match, Fault fault, int times = int.MaxValue)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(times, 1);
        FaultRule rule = new(this, match, fault, times);
        lock (_lock)
            _rules.Add(rule);
        return rule;
    }

    /// <summary>Ends all rules.</summary>
    public void Clear()
    {
        lock (_lock)
            _rules.Clear();
    }

    /// <summary>The fault for a request, counted; null for none.</summary>
    internal Fault? Take(FaultTarget target)
    {
        lock (_lock)
        {
            FaultRule? rule = _rules.FirstOrDefault(rule => rule.Match.Matches(target));
            if (rule is null)
                return null;
            if (rule.Count() >= rule.Times)
                _rules.Remove(rule);
            return rule.Fault;
        }
    }

    internal void Remove(FaultRule rule)
    {
        lock (_lock)
            _rules.Remove(rule);
    }
}

/// <summary>A rule that is in force until it was used up or disposed of.</summary>
public sealed class FaultRule : IDisposable
{
    private readonly FaultInjector _injector;
    private int _hits;

    internal FaultRule(FaultInjector injector, FaultMatch match, Fault fault, int times)
    {
        _injector = injector;
        Match = match;
        Fault = fault;
        Times = times;
    }

    /// <summary>Which requests.</summary>
    public FaultMatch Match { get; }

    /// <summary>What happens to them.</summary>
    public Fault Fault { get; }

    /// <summary>To how many.</summary>
    public int Times { get; }

    /// <summary>Requests that it hit so far.</summary>
    public int Hits => Volatile.Read(ref _hits);

    /// <inheritdoc/>
    public void Dispose() => _injector.Remove(this);

    internal int Count() => Interlocked.Increment(ref _hits);
}

/// <summary>Which requests a rule is about; null matches all.</summary>
public sealed record FaultMatch
{
    /// <summary><c>get</c>, <c>list</c>, <c>watch</c>, <c>create</c>, <c>update</c>, <c>patch</c>, <c>delete</c> or <c>deletecollection</c>.</summary>
    public string? Verb { get; init; }

    /// <summary>API group; empty for the core group.</summary>
    public string? Group { get; init; }

    /// <summary>Such as <c>agents</c>.</summary>
    public string? Plural { get; init; }

    /// <summary>Such as <c>status</c>; empty for the object itself.</summary>
    public string? Subresource { get; init; }

    /// <summary>Namespace.</summary>
    public string? Namespace { get; init; }

    /// <summary>Name of the object.</summary>
    public string? Name { get; init; }

    /// <summary>Name of the principal that asks.</summary>
    public string? Principal { get; init; }

    internal bool Matches(FaultTarget target) =>
        (Verb ?? target.Verb) == target.Verb && (Group ?? target.Group) == target.Group && (Plural ?? target.Plural) == target.Plural
        && (Subresource ?? target.Subresource) == target.Subresource && (Namespace ?? target.Namespace) == target.Namespace && (Name ?? target.Name) == target.Name
        && (Principal ?? target.Principal) == target.Principal;
}

/// <summary>What happens.</summary>
public abstract record Fault
{
    private Fault()
    {
    }

    /// <summary>The answer is this refusal and nothing is done; 429 and 503 carry Retry-After when it is above 0.</summary>
    public sealed record Refuse(int Code, int RetryAfterSeconds = 0) : Fault;

    /// <summary>A write is refused with 409, as if another had come first.</summary>
    public sealed record Conflict : Fault;

    /// <summary>The request waits, then goes on.</summary>
    public sealed record Delay(TimeSpan Time) : Fault;

    /// <summary>The request is carried out, and its connection is closed before the answer: the client cannot know.</summary>
    public sealed record DropAnswer : Fault;

    /// <summary>A watch is closed without a word after so many events.</summary>
    public sealed record CutWatch(int AfterEvents) : Fault;

    /// <summary>A watch ends with an ERROR event of 410 after so many events, as when its version expired.</summary>
    public sealed record ExpireWatch(int AfterEvents = 0) : Fault;
}

/// <summary>A request as rules see it.</summary>
internal sealed record FaultTarget(string Verb, string Group, string Plural, string Subresource, string Namespace, string Name, string Principal);
