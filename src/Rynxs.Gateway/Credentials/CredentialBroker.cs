using System.Collections.Concurrent;
using System.Security.Cryptography;
using Rynxs.Gateway.Channels;

namespace Rynxs.Gateway.Credentials;

/// <summary>Where disclosures are recorded before they happen. The composition root connects it to the ledger.</summary>
public interface IDisclosureLog
{
    /// <summary>Completes when the record is durable. When it throws, the credential is not used.</summary>
    ValueTask WriteAsync(GatewayCaller caller, CredentialDisclosure disclosure, CancellationToken cancellationToken);
}

/// <summary>A credential is about to leave our hands.</summary>
/// <param name="Credential">Its name, never its value.</param>
/// <param name="Recipient">Host and port.</param>
/// <param name="Purpose"><c>inference</c>, <c>egress</c> or <c>mcp</c>.</param>
/// <param name="Rule">The rule or policy that allows it; null when none had to.</param>
public sealed record CredentialDisclosure(string Credential, string Recipient, string Purpose, string? Rule);

/// <summary>Hands out placeholders and replaces them. A placeholder means something only for the caller it was made for, on its way to its target.</summary>
public sealed class CredentialBroker(ICredentialSource source, IDisclosureLog log) : ICredentialInjector
{
    /// <summary>Every placeholder begins so.</summary>
    public const string PlaceholderPrefix = "rynxs_placeholder_";

    private const int PlaceholderLength = 18 + 32;
    private const int MaxPlaceholders = 100_000;

    private readonly ConcurrentDictionary<string, Entry> _placeholders = new(StringComparer.Ordinal);

    /// <summary>Makes a placeholder for a caller. It holds nothing of the value, 128 bits of chance, and ends with <see cref="Forget"/>.</summary>
    /// <exception cref="InvalidOperationException">More than 100,000 are open.</exception>
    public string Bind(GatewayCaller caller, CredentialBinding binding)
    {
        ArgumentNullException.ThrowIfNull(caller);
        ArgumentNullException.ThrowIfNull(binding);
        if (_placeholders.Count >= MaxPlaceholders)
        {
            throw new InvalidOperationException("Too many placeholders are open.");
        }

        string placeholder = PlaceholderPrefix + RandomNumberGenerator.GetHexString(32, lowercase: true);
        _placeholders[placeholder] = new Entry(HolderOf(caller), binding);
        return placeholder;
    }

    /// <summary>Ends all placeholders of a caller, as when its sandbox goes.</summary>
    public void Forget(GatewayCaller caller)
    {
        ArgumentNullException.ThrowIfNull(caller);
        string holder = HolderOf(caller);
        foreach ((string placeholder, Entry entry) in _placeholders)
        {
            if (entry.Holder == holder)
            {
                _placeholders.TryRemove(placeholder, out _);
            }
        }
    }

    /// <inheritdoc/>
    public async ValueTask<Injection> InjectAsync(
        GatewayCaller caller, CredentialTarget target, IReadOnlyList<KeyValuePair<string, string>> headers, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(caller);
        ArgumentNullException.ThrowIfNull(target);
        ArgumentNullException.ThrowIfNull(headers);
        KeyValuePair<string, string>[]? replaced = null;
        List<string> values = [];
        for (int i = 0; i < headers.Count; i++)
        {
            (string name, string value) = headers[i];
            int at = value.IndexOf(PlaceholderPrefix, StringComparison.Ordinal);
            if (at < 0 || value.Length < at + PlaceholderLength)
            {
                continue;
            }

            string placeholder = value.Substring(at, PlaceholderLength);
            if (!_placeholders.TryGetValue(placeholder, out Entry? entry) || entry.Holder != HolderOf(caller))
            {
                // Somebody else's, or nobody's: text without a meaning. It goes as it is, and tells the caller nothing (D8).
                continue;
            }

            if (!IsBound(entry.Binding, target, name))
            {
                return new Injection.Refused("credential_not_bound", $"The placeholder for '{entry.Binding.Credential.Name}' is not bound to this host, port, method and header.");
            }

            Credential credential;
            try
            {
                credential = await source.GetAsync(entry.Binding.Credential, cancellationToken).ConfigureAwait(false);
            }
            catch (CredentialException e)
            {
                return new Injection.Refused("credential_unavailable", e.Message);
            }

            try
            {
                await log.WriteAsync(
                    caller, new CredentialDisclosure(entry.Binding.Credential.Name, $"{target.Host}:{target.Port}", target.Purpose, entry.Binding.Rule), cancellationToken).ConfigureAwait(false);
            }
            catch (IOException)
            {
                return new Injection.Refused("credential_unrecorded", "The disclosure cannot be recorded, so the credential is not used.");
            }

            replaced ??= [.. headers];
            replaced[i] = new(name, string.Concat(value.AsSpan(0, at), credential.Value, value.AsSpan(at + PlaceholderLength)));
            values.Add(credential.Value);
        }

        return replaced is null ? new Injection.None() : new Injection.Replaced(Plain(replaced), new ResponseScrubber(values));
    }

    private static string HolderOf(GatewayCaller caller) => $"{caller.Key}|{caller.Sandbox}";

    private static bool IsBound(CredentialBinding binding, CredentialTarget target, string header) =>
        string.Equals(binding.Host, target.Host, StringComparison.Ordinal) && binding.Port == target.Port && binding.Methods.Contains(target.Method)
        && string.Equals(binding.Header, header, StringComparison.OrdinalIgnoreCase) && (target.IsTls || binding.AllowPlainHttp);

    /// <summary>A compressed answer could not be scrubbed.</summary>
    private static List<KeyValuePair<string, string>> Plain(IEnumerable<KeyValuePair<string, string>> headers) =>
        [.. headers.Where(header => !header.Key.Equals("Accept-Encoding", StringComparison.OrdinalIgnoreCase)), new("Accept-Encoding", "identity")];

    private sealed record Entry(string Holder, CredentialBinding Binding);
}
