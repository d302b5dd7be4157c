using Rynxs.Gateway.Inference.Translation;
using Rynxs.Policy.Inference;

namespace Rynxs.Gateway.Inference.Relay;

/// <summary>A rule on the answer refuses it.</summary>
internal sealed class AnswerDeniedException(string rule) : Exception($"The answer was stopped by the rule '{rule}'.")
{
    /// <summary>Name of the detector, or <c>prompt-shield</c>.</summary>
    public string Rule { get; } = rule;
}

/// <summary>
/// Lets an answer through piece by piece, each text (a choice's, or a call's arguments) held back until its detectors are sure of it. Order is kept: what
/// ends or begins something waits for the texts before it.
/// </summary>
internal sealed class OutputRules(IReadOnlyList<Detector> detectors, int hold)
{
    private readonly Dictionary<(int Choice, int Call), HeldText> _held = [];

    /// <summary>Names of detectors that replaced something.</summary>
    public HashSet<string> Redacted { get; } = new(StringComparer.Ordinal);

    /// <summary>All texts that were let through, for the shield.</summary>
    public List<string> Texts { get; } = [];

    /// <summary>What may go on now.</summary>
    /// <exception cref="AnswerDeniedException">A detector refuses the answer.</exception>
    public IEnumerable<Delta> Next(Delta delta)
    {
        switch (delta)
        {
            case Delta.Text text:
                return Released(text.Choice, -1, Checked(Held(text.Choice, -1).Next(text.Value)));
            case Delta.CallArguments arguments:
                return Released(arguments.Choice, arguments.Index, Checked(Held(arguments.Choice, arguments.Index).Next(arguments.Value)));
            case Delta.CallBegin or Delta.Finish or Delta.End:
                return [.. Rest(), delta];
            default:
                return [delta];
        }
    }

    /// <summary>A whole text.</summary>
    /// <exception cref="AnswerDeniedException">A detector refuses the answer.</exception>
    public string Whole(string text)
    {
        string passed = Checked(ContentRules.Inspect(detectors, text));
        Texts.Add(passed);
        return passed;
    }

    private HeldText Held(int choice, int call)
    {
        if (!_held.TryGetValue((choice, call), out HeldText? held))
        {
            _held.Add((choice, call), held = new HeldText(detectors, hold));
        }

        return held;
    }

    private List<Delta> Rest()
    {
        List<Delta> rest = [];
        foreach (((int choice, int call), HeldText held) in _held)
        {
            rest.AddRange(Released(choice, call, Checked(held.End())));
        }

        _held.Clear();
        return rest;
    }

    private List<Delta> Released(int choice, int call, string text)
    {
        if (text.Length == 0)
        {
            return [];
        }

        Texts.Add(text);
        return [call < 0 ? new Delta.Text(choice, text) : new Delta.CallArguments(choice, call, text)];
    }

    private string Checked(Inspection inspection)
    {
        if (inspection.DeniedBy is { } rule)
        {
            throw new AnswerDeniedException(rule);
        }

        Redacted.UnionWith(inspection.Redacted);
        return inspection.Text;
    }
}
