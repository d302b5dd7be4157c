using System.Text;
using System.Text.RegularExpressions;

namespace Rynxs.Policy.Inference;

/// <summary>What happens when a detector finds something.</summary>
public enum DetectorAction
{
    /// <summary>It is replaced by <c>[NAME]</c>.</summary>
    Redact,

    /// <summary>The request or answer is refused.</summary>
    Deny,
}

/// <summary>Looks for a pattern in texts.</summary>
public sealed class Detector
{
    /// <summary>Longest pattern, in characters.</summary>
    public const int MaxPatternLength = 1024;

    private readonly Regex _pattern;

    /// <summary>Compiles a detector.</summary>
    /// <param name="name">Stands in place of what was found, and in records.</param>
    /// <param name="pattern">A regular expression without lookarounds and backreferences: it takes time linear in the text.</param>
    /// <param name="action">What then.</param>
    /// <param name="input">Whether requests are searched.</param>
    /// <param name="output">Whether answers are searched.</param>
    /// <exception cref="ArgumentException">The pattern is too long or is none.</exception>
    public Detector(string name, string pattern, DetectorAction action, bool input, bool output)
    {
        ArgumentNullException.ThrowIfNull(name);
        ArgumentNullException.ThrowIfNull(pattern);
        if (pattern.Length > MaxPatternLength)
        {
            throw new ArgumentException($"A pattern has at most {MaxPatternLength} characters.", nameof(pattern));
        }

        try
        {
            _pattern = new Regex(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant);
        }
        catch (NotSupportedException e)
        {
            throw new ArgumentException("A pattern has no lookarounds, backreferences or atomic groups: its time must be linear.", nameof(pattern), e);
        }

        (Name, Pattern, Action, Input, Output) = (name, pattern, action, input, output);
    }

    /// <summary>Its name.</summary>
    public string Name { get; }

    /// <summary>As written.</summary>
    public string Pattern { get; }

    /// <summary>What then.</summary>
    public DetectorAction Action { get; }

    /// <summary>Whether requests are searched.</summary>
    public bool Input { get; }

    /// <summary>Whether answers are searched.</summary>
    public bool Output { get; }

    /// <summary>Whether the text holds it.</summary>
    public bool IsMatch(string text) => _pattern.IsMatch(text);

    /// <summary>The text with every find replaced.</summary>
    public string Redact(string text) => _pattern.Replace(text, $"[{Name}]".Replace("$", "$$", StringComparison.Ordinal));

    /// <summary>Where the first find begins that lies across a position; -1 for none.</summary>
    internal int StartOfMatchAcross(string text, int at)
    {
        foreach (ValueMatch match in _pattern.EnumerateMatches(text))
        {
            if (match.Index >= at)
            {
                return -1;
            }

            if (match.Index + match.Length > at)
            {
                return match.Index;
            }
        }

        return -1;
    }

    /// <summary>
    /// Forms of keys that their issuers publish: AWS, GitHub, GitLab, Slack, Stripe, OpenAI and Anthropic keys, Google API keys, JWTs, and private keys in PEM.
    /// </summary>
    public static IReadOnlyList<string> SecretPatterns { get; } =
    [
        @"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b",
        @"\bgh[pousr]_[A-Za-z0-9]{36,255}\b",
        @"\bgithub_pat_[A-Za-z0-9_]{22,255}\b",
        @"\bglpat-[A-Za-z0-9_-]{20,255}",
        @"\bxox[abposr]-[A-Za-z0-9-]{10,255}",
        @"\b[rs]k_live_[A-Za-z0-9]{20,255}\b",
        @"\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{20,255}",
        @"\bAIza[0-9A-Za-z_-]{35}",
        @"\beyJ[A-Za-z0-9_-]{8,}\.eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}",
        "-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----",
    ];
}

/// <summary>What a search found.</summary>
/// <param name="Text">The text to go on with.</param>
/// <param name="DeniedBy">Name of the detector that refuses; null when none does.</param>
/// <param name="Redacted">Names of detectors that replaced something.</param>
public readonly record struct Inspection(string Text, string? DeniedBy, IReadOnlyList<string> Redacted);

/// <summary>Searches texts with a set of detectors.</summary>
public static class ContentRules
{
    /// <summary>Searches one text. A refusal wins over every redaction.</summary>
    public static Inspection Inspect(IReadOnlyList<Detector> detectors, string text)
    {
        ArgumentNullException.ThrowIfNull(detectors);
        ArgumentNullException.ThrowIfNull(text);
        List<string>? redacted = null;
        string result = text;
        foreach (Detector detector in detectors)
        {
            if (!detector.IsMatch(text))
            {
                continue;
            }

            if (detector.Action == DetectorAction.Deny)
            {
                return new Inspection(text, detector.Name, []);
            }

            string without = detector.Redact(result);
            if (without != result)
            {
                (redacted ??= []).Add(detector.Name);
                result = without;
            }
        }

        return new Inspection(result, null, redacted ?? (IReadOnlyList<string>)[]);
    }
}

/// <summary>
/// Holds the last characters of a stream back until what follows cannot make them part of a find, so that a find is never half delivered. A find longer
/// than <see cref="Hold"/> characters that only its end tells can escape: give patterns a length.
/// </summary>
public sealed class HeldText(IReadOnlyList<Detector> detectors, int hold)
{
    private readonly StringBuilder _held = new();
    private char _before;
    private bool _hasBefore;

    /// <summary>Characters that are held back.</summary>
    public int Hold { get; } = hold;

    /// <summary>Takes the next text and gives what can be released.</summary>
    public Inspection Next(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        _held.Append(text);
        if (Hold == int.MaxValue || _held.Length <= Hold)
        {
            return Check(_held.ToString()) is { DeniedBy: not null } denied ? denied with { Text = "" } : new Inspection("", null, []);
        }

        string all = _held.ToString();
        if (Check(all) is { DeniedBy: not null } refused)
        {
            return refused with { Text = "" };
        }

        int cut = all.Length - Hold;
        foreach (Detector detector in detectors)
        {
            // A find that lies across the cut stays whole on this side, where it will be replaced when its end is known.
            if (detector.StartOfMatchAcross(all, cut) is var start and >= 0)
            {
                cut = Math.Min(cut, start);
            }
        }

        if (cut > 0 && char.IsHighSurrogate(all[cut - 1]))
        {
            cut--;
        }

        // Bounded whatever the pattern: a find longer than four times the hold is cut here.
        if (cut == 0 && all.Length > 4L * Hold)
        {
            cut = all.Length - Hold;
        }

        return Release(all, cut);
    }

    /// <summary>What is left at the end.</summary>
    public Inspection End()
    {
        string all = _held.ToString();
        return Check(all) is { DeniedBy: not null } refused ? refused with { Text = "" } : Release(all, all.Length);
    }

    private Inspection Check(string text) => ContentRules.Inspect(detectors, _hasBefore ? _before + text : text);

    private Inspection Release(string all, int cut)
    {
        _held.Clear();
        _held.Append(all, cut, all.Length - cut);
        if (cut == 0)
        {
            return new Inspection("", null, []);
        }

        // With the character before, so that a word's edge (\b) is judged as in the whole text.
        string part = all[..cut];
        Inspection inspected = ContentRules.Inspect(detectors, _hasBefore ? _before + part : part);
        string text = inspected.Text;
        if (_hasBefore)
        {
            text = text.Length > 0 && text[0] == _before ? text[1..] : text;
        }

        (_before, _hasBefore) = (part[^1], true);
        return inspected with { Text = text };
    }
}
