using System.Globalization;
using System.Text;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Verifier;
using Rynxs.Ledger.Witnessing;

namespace Rynxs.Server.Transparency;

/// <summary>Settings of signed checkpoints.</summary>
public sealed record TransparencyOptions
{
    /// <summary>
    /// Name of the log for its first key: the origin of its checkpoints, such as <c>example.com/rynxs</c>. Null: <c>rynxs.local/</c> and 12 random
    /// hexadecimal digits. Without effect once there is a key.
    /// </summary>
    public string? Origin { get; init; }

    /// <summary>How often the agents' chains are anchored and a checkpoint is published, when records were added: 1 to 86,400 seconds, default 10.</summary>
    public int IntervalSeconds { get; init; } = 10;

    /// <summary>Published at once when this many records wait for a checkpoint: 1 to 1,000,000, default 1000.</summary>
    public int Records { get; init; } = 1000;

    /// <summary>A file in the form of C2SP tlog-policy: which witnesses are asked (those with a URL) and how many must cosign. Null: none.</summary>
    public string? WitnessPolicyPath { get; init; }

    /// <summary>A file with the token that the witnesses want. Null: none.</summary>
    public string? WitnessTokenPath { get; init; }

    /// <summary>How long each witness has to answer: 1 to 60 seconds, default 5.</summary>
    public int WitnessTimeoutSeconds { get; init; } = 5;

    /// <summary>Every problem, each naming its setting.</summary>
    internal IEnumerable<string> Validate()
    {
        if (Origin is not null && !VerifierKey.IsName(Origin))
        {
            yield return "--ledger-origin: a name without white space and '+', such as example.com/rynxs.";
        }

        if (IntervalSeconds is < 1 or > 86_400)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"--checkpoint-seconds: {IntervalSeconds} is not within 1 to 86400.");
        }

        if (Records is < 1 or > 1_000_000)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"--checkpoint-records: {Records} is not within 1 to 1000000.");
        }

        if (WitnessTimeoutSeconds is < 1 or > 60)
        {
            yield return string.Create(CultureInfo.InvariantCulture, $"--witness-timeout: {WitnessTimeoutSeconds} is not within 1 to 60.");
        }
    }
}

/// <summary>What a witness policy and a token file give.</summary>
/// <param name="Endpoints">Witnesses to ask.</param>
/// <param name="Quorum">Whether cosignatures are enough; null without a policy.</param>
public sealed record WitnessSetup(IReadOnlyList<WitnessEndpoint> Endpoints, Func<IReadOnlyCollection<NoteSignature>, bool>? Quorum)
{
    private const int MaxTokenBytes = 4096;

    /// <summary>Reads the files.</summary>
    /// <exception cref="InvalidDataException">A file is missing, or does not hold what it should; the message names it.</exception>
    public static WitnessSetup Read(string? policyPath, string? tokenPath)
    {
        if (policyPath is null)
        {
            return new WitnessSetup([], null);
        }

        try
        {
            TrustPolicy policy = TrustPolicy.Parse(ReadText(policyPath, TrustPolicy.MaxCharacters));
            string? token = tokenPath is null ? null : ReadText(tokenPath, MaxTokenBytes).Trim();
            if (token is not null && (token.Length == 0 || token.Any(character => character is < '!' or > '~')))
            {
                throw new InvalidDataException($"{tokenPath} does not hold a token.");
            }

            WitnessEndpoint[] endpoints =
            [
                .. policy.Witnesses.Where(witness => witness.Url is not null)
                    .Select(witness => new WitnessEndpoint(VerifierKey.Parse(witness.Key.Text), witness.Url ?? throw new InvalidDataException("A witness has no URL."), token)),
            ];
            return new WitnessSetup(endpoints, cosignatures => policy.IsMetBy(endpoints
                .Where(endpoint => cosignatures.Any(cosignature => cosignature.Name == endpoint.Key.Name && cosignature.Id == endpoint.Key.Id))
                .Select(endpoint => endpoint.Key.ToString())));
        }
        catch (FormatException exception)
        {
            throw new InvalidDataException($"{policyPath}: {exception.Message}", exception);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new InvalidDataException($"{policyPath} or {tokenPath} cannot be read: {exception.Message}", exception);
        }
    }

    private static string ReadText(string path, int maxBytes)
    {
        using FileStream file = File.OpenRead(path);
        byte[] content = new byte[maxBytes + 1];
        int length = file.ReadAtLeast(content, content.Length, throwOnEndOfStream: false);
        return length <= maxBytes
            ? Encoding.UTF8.GetString(content, 0, length)
            : throw new InvalidDataException($"{path} has more than {maxBytes} bytes.");
    }
}
