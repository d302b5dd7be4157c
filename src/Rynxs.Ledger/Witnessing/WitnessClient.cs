using System.Globalization;
using System.Net;
using System.Net.Http.Headers;
using System.Text;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;

namespace Rynxs.Ledger.Witnessing;

/// <summary>A witness that a log asks.</summary>
/// <param name="Key">Its public key, type 4.</param>
/// <param name="Url">Its submission prefix; <c>add-checkpoint</c> is below it.</param>
/// <param name="Token">Bearer token, when it wants one; never logged.</param>
public sealed record WitnessEndpoint(VerifierKey Key, Uri Url, string? Token = null);

/// <summary>How asking a witness ended.</summary>
public enum WitnessOutcome
{
    /// <summary>It cosigned.</summary>
    Cosigned,

    /// <summary>It did not answer in time, or not as the protocol says.</summary>
    Unreachable,

    /// <summary>It cosigned a larger tree of this log before: what we have is older, or another history.</summary>
    Ahead,

    /// <summary>It refused: the checkpoint does not continue what it saw (422), or it does not know the log or its key (403, 404).</summary>
    Refused,
}

/// <summary>What a witness answered.</summary>
/// <param name="Witness">Name of its key.</param>
/// <param name="Outcome">How it ended.</param>
/// <param name="Detail">For people; null when it cosigned.</param>
/// <param name="Signature">Its verified cosignature; null unless it cosigned.</param>
public sealed record WitnessReply(string Witness, WitnessOutcome Outcome, string? Detail, NoteSignature? Signature);

/// <summary>Asks one witness for cosignatures. Remembers the size that it knows, so that one request is enough as a rule.</summary>
/// <remarks>One caller at a time.</remarks>
public sealed class WitnessClient(HttpClient http, WitnessEndpoint endpoint, TimeSpan timeout)
{
    private const int MaxAnswerBytes = 16 * 1024;

    private long _known;

    /// <summary>Asks for a cosignature of a checkpoint.</summary>
    /// <param name="checkpoint">The checkpoint.</param>
    /// <param name="note">The same, signed by the log.</param>
    /// <param name="prove">Gives the consistency proof from an earlier size.</param>
    /// <param name="cancellationToken">Ends the asking; its cause is kept. The timeout ends it too, and counts as unreachable.</param>
    public async Task<WitnessReply> AskAsync(
        TreeCheckpoint checkpoint, SignedNote note, Func<long, CancellationToken, Task<IReadOnlyList<TreeHash>>> prove, CancellationToken cancellationToken)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        ArgumentNullException.ThrowIfNull(note);
        ArgumentNullException.ThrowIfNull(prove);
        using var limited = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        limited.CancelAfter(timeout);
        try
        {
            (HttpStatusCode status, string body) = await SendAsync(checkpoint, note, prove, limited.Token).ConfigureAwait(false);
            if (status == HttpStatusCode.Conflict && long.TryParse(body.TrimEnd('\n'), NumberStyles.None, CultureInfo.InvariantCulture, out long size))
            {
                if (size > checkpoint.Size)
                {
                    return Reply(WitnessOutcome.Ahead, string.Create(CultureInfo.InvariantCulture, $"it cosigned {size} entries before; this log has {checkpoint.Size}"));
                }

                _known = size;
                (status, body) = await SendAsync(checkpoint, note, prove, limited.Token).ConfigureAwait(false);
            }

            return Read(checkpoint, note, status, body);
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return Reply(WitnessOutcome.Unreachable, string.Create(CultureInfo.InvariantCulture, $"no answer within {timeout.TotalSeconds} s"));
        }
        catch (Exception exception) when (exception is HttpRequestException or IOException)
        {
            return Reply(WitnessOutcome.Unreachable, exception.Message);
        }
    }

    private WitnessReply Read(TreeCheckpoint checkpoint, SignedNote note, HttpStatusCode status, string body)
    {
        if (status != HttpStatusCode.OK)
        {
            string detail = string.Create(CultureInfo.InvariantCulture, $"it answered {(int)status}");
            return status is HttpStatusCode.UnprocessableEntity or HttpStatusCode.Forbidden or HttpStatusCode.NotFound
                ? Reply(WitnessOutcome.Refused, detail)
                : Reply(WitnessOutcome.Unreachable, detail);
        }

        try
        {
            // Lines of unknown keys are passed over; ours must verify.
            NoteSignature[] lines = [.. body.TrimEnd('\n').Split('\n').Select(NoteSignature.ParseLine)];
            if (new SignedNote(note.Text, lines).VerifyBy([endpoint.Key]).Count == 1)
            {
                _known = checkpoint.Size;
                return new WitnessReply(
                    endpoint.Key.Name, WitnessOutcome.Cosigned, null, lines.First(line => line.Name == endpoint.Key.Name && line.Id == endpoint.Key.Id));
            }

            return Reply(WitnessOutcome.Unreachable, "its answer holds no cosignature by its key");
        }
        catch (FormatException exception)
        {
            return Reply(WitnessOutcome.Unreachable, "its answer is not a cosignature: " + exception.Message);
        }
    }

    private async Task<(HttpStatusCode Status, string Body)> SendAsync(
        TreeCheckpoint checkpoint, SignedNote note, Func<long, CancellationToken, Task<IReadOnlyList<TreeHash>>> prove, CancellationToken cancellationToken)
    {
        long known = Math.Min(_known, checkpoint.Size);
        IReadOnlyList<TreeHash> path = known == 0 || known == checkpoint.Size ? [] : await prove(known, cancellationToken).ConfigureAwait(false);
        using var request = new HttpRequestMessage(HttpMethod.Post, new Uri(endpoint.Url.AbsoluteUri.TrimEnd('/') + "/add-checkpoint"))
        {
            Content = new StringContent(new ConsistencyProof(known, path, note).ToString(), Encoding.UTF8, "text/plain"),
        };
        if (endpoint.Token is { } token)
        {
            request.Headers.Authorization = new AuthenticationHeaderValue("Bearer", token);
        }

        using HttpResponseMessage response = await http.SendAsync(request, HttpCompletionOption.ResponseHeadersRead, cancellationToken).ConfigureAwait(false);
        Stream stream = await response.Content.ReadAsStreamAsync(cancellationToken).ConfigureAwait(false);
        await using (stream.ConfigureAwait(false))
        {
            byte[] body = new byte[MaxAnswerBytes + 1];
            int length = await stream.ReadAtLeastAsync(body, body.Length, throwOnEndOfStream: false, cancellationToken).ConfigureAwait(false);
            return length <= MaxAnswerBytes
                ? (response.StatusCode, Encoding.UTF8.GetString(body, 0, length))
                : throw new HttpRequestException($"its answer is longer than {MaxAnswerBytes} bytes");
        }
    }

    private WitnessReply Reply(WitnessOutcome outcome, string detail) => new(endpoint.Key.Name, outcome, detail, null);
}
