using System.Globalization;

namespace Rynxs.Ledger.Verifier;

/// <summary>
/// Which logs are accepted and which witnesses must have cosigned, from a file in the format of C2SP tlog-policy: lines <c>log VKEY [URL]</c>,
/// <c>witness NAME VKEY [URL]</c>, <c>group NAME all|any|K MEMBER…</c>, <c>quorum NAME|none</c>; <c>#</c> begins a comment.
/// </summary>
public sealed class TrustPolicy
{
    /// <summary>Longest policy that is read: 64 KiB.</summary>
    public const int MaxCharacters = 64 * 1024;

    private const int MaxNames = 256;

    private readonly List<PinnedKey> _logs = [];
    private readonly List<PolicyWitness> _witnesses = [];
    private readonly Dictionary<string, Func<IReadOnlySet<string>, bool>> _names = [];
    private readonly HashSet<string> _members = [];
    private Func<IReadOnlySet<string>, bool>? _quorum;

    private TrustPolicy()
    {
    }

    /// <summary>Keys of accepted logs; may be empty when they are given otherwise.</summary>
    public IReadOnlyList<PinnedKey> Logs => _logs;

    /// <summary>The witnesses, in the order of their lines.</summary>
    public IReadOnlyList<PolicyWitness> Witnesses => _witnesses;

    /// <summary>Reads a policy.</summary>
    /// <exception cref="FormatException">It is none; the message names the line.</exception>
    public static TrustPolicy Parse(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (text.Length > MaxCharacters)
        {
            throw new FormatException($"The policy is longer than {MaxCharacters} characters.");
        }

        var policy = new TrustPolicy();
        int number = 0;
        foreach (string line in text.Split('\n'))
        {
            number++;
            if (line.Any(character => character < ' ' && character != '\t'))
            {
                throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"Line {number} of the policy holds a control character."));
            }

            string[] items = line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (items.Length > 0 && !items[0].StartsWith('#'))
            {
                try
                {
                    policy.Add(items);
                }
                catch (FormatException exception)
                {
                    throw new FormatException(string.Create(CultureInfo.InvariantCulture, $"Line {number} of the policy: {exception.Message}"));
                }
            }
        }

        return policy._quorum is null ? throw new FormatException("The policy has no quorum line.") : policy;
    }

    /// <summary>True when the witnesses with these keys (as vkey text) are enough.</summary>
    public bool IsMetBy(IEnumerable<string> cosigners)
    {
        HashSet<string> keys = [.. cosigners];
        HashSet<string> names = [.. _witnesses.Where(witness => keys.Contains(witness.Key.Text)).Select(witness => witness.Name)];
        return _quorum is not null && _quorum(names);
    }

    private void Add(string[] items)
    {
        switch (items)
        {
            case ["log", { } key, ..] when items.Length <= 3:
                AddLog(PinnedKey.Parse(key));
                break;
            case ["witness", { } name, { } key, ..] when items.Length <= 4:
                AddWitness(name, PinnedKey.Parse(key), items.Length == 4 ? Url(items[3]) : null);
                break;
            case ["group", { } name, { } threshold, _, ..]:
                AddGroup(name, threshold, items[3..]);
                break;
            case ["quorum", { } name]:
                _quorum = _quorum is not null
                    ? throw new FormatException("There is a second quorum line.")
                    : name == "none" ? _ => true : Known(name);
                break;
            default:
                throw new FormatException("It is not 'log', 'witness', 'group' or 'quorum' with what belongs to it.");
        }
    }

    private void AddLog(PinnedKey key)
    {
        if (key.IsWitness || _logs.Any(log => log.Key.SequenceEqual(key.Key)))
        {
            throw new FormatException("The key is a witness's, or stands in another log line.");
        }

        _logs.Add(key);
    }

    private void AddWitness(string name, PinnedKey key, Uri? url)
    {
        if (!key.IsWitness || _witnesses.Any(witness => witness.Key.Key.SequenceEqual(key.Key)))
        {
            throw new FormatException("The key is a log's, or stands in another witness line.");
        }

        Define(name, cosigned => cosigned.Contains(name));
        _witnesses.Add(new PolicyWitness(name, key, url));
    }

    private void AddGroup(string name, string threshold, string[] members)
    {
        int needed = threshold switch
        {
            "all" => members.Length,
            "any" => 1,
            _ when int.TryParse(threshold, NumberStyles.None, CultureInfo.InvariantCulture, out int number) && number >= 1 && number <= members.Length => number,
            _ => throw new FormatException($"'{threshold}' is not 'all', 'any', or a number from 1 to the number of members."),
        };
        Func<IReadOnlySet<string>, bool>[] rules = [.. members.Select(Known)];
        foreach (string member in members)
        {
            if (!_members.Add(member))
            {
                throw new FormatException($"'{member}' is a member already: each counts once.");
            }
        }

        Define(name, cosigned => rules.Count(rule => rule(cosigned)) >= needed);
    }

    private void Define(string name, Func<IReadOnlySet<string>, bool> rule)
    {
        if (name == "none" || _names.Count >= MaxNames || !_names.TryAdd(name, rule))
        {
            throw new FormatException($"'{name}' is defined already, is 'none', or is one name too many ({MaxNames}).");
        }
    }

    private Func<IReadOnlySet<string>, bool> Known(string name) =>
        _names.TryGetValue(name, out Func<IReadOnlySet<string>, bool>? rule) ? rule : throw new FormatException($"'{name}' is not defined on a line above.");

    private static Uri Url(string text) =>
        Uri.TryCreate(text, UriKind.Absolute, out Uri? url) && url.Scheme is "http" or "https"
            ? url
            : throw new FormatException($"'{text}' is not an http or https URL.");
}

/// <summary>A witness of a policy.</summary>
/// <param name="Name">Its name in the file.</param>
/// <param name="Key">Its key.</param>
/// <param name="Url">Where it is asked; null when the policy is for verifying only.</param>
public sealed record PolicyWitness(string Name, PinnedKey Key, Uri? Url);
