using System.Diagnostics;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Recording;

/// <summary>What is recorded, and how much of it.</summary>
public sealed record RecordingOptions
{
    /// <summary>Most bytes of output that are kept; what comes later is counted. Default 4 MiB.</summary>
    public int MaxOutputBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Most pieces of output that are kept apart in time; later ones are joined to the last. Default 10,000.</summary>
    public int MaxPieces { get; init; } = 10_000;

    /// <summary>Finds what must not be kept. Default: credentials of known shape. Null keeps everything.</summary>
    public ISessionRedaction? Redaction { get; init; } = new KnownSecretShapes();

    /// <summary>Width and height of the player's screen; our programs have no terminal. Default 120 × 32.</summary>
    public (int Width, int Height) Screen { get; init; } = (120, 32);

    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}

/// <summary>
/// Takes the output of one program as it comes and makes an asciicast v2 file of it (docs/formats/ledger.md, "Recordings"). It holds the output in
/// memory until the end, because redaction must see all of it before any of it is kept.
/// </summary>
/// <remarks>Safe to be written to from several threads; writing never blocks on a disk.</remarks>
public sealed class SessionRecorder(RecordingOptions options)
{
    /// <summary>The format as records name it.</summary>
    public const string Format = "asciicast/2";

    private const string Marker = "[redacted]";

    private readonly Lock _gate = new();
    private readonly long _started = options.TimeProvider.GetTimestamp();
    private readonly DateTimeOffset _startedAt = options.TimeProvider.GetUtcNow();
    private readonly List<(TimeSpan At, StringBuilder Text)> _pieces = [];
    private readonly Decoder _output = Encoding.UTF8.GetDecoder();
    private readonly Decoder _error = Encoding.UTF8.GetDecoder();
    private long _kept;
    private long _cut;

    /// <summary>Whether anything was written.</summary>
    public bool HasOutput
    {
        get
        {
            lock (_gate)
            {
                return _kept + _cut > 0;
            }
        }
    }

    /// <summary>Takes a piece of output.</summary>
    /// <param name="isError">From standard error: its characters are put together apart from those of standard output.</param>
    /// <param name="data">Bytes as the program wrote them.</param>
    public void Write(bool isError, ReadOnlySpan<byte> data)
    {
        lock (_gate)
        {
            int kept = (int)Math.Clamp(options.MaxOutputBytes - _kept, 0, data.Length);
            _kept += kept;
            _cut += data.Length - kept;
            if (kept == 0)
            {
                return;
            }

            Decoder decoder = isError ? _error : _output;
            char[] characters = new char[Encoding.UTF8.GetMaxCharCount(kept)];
            int length = decoder.GetChars(data[..kept], characters, flush: false);
            if (_pieces.Count < options.MaxPieces)
            {
                _pieces.Add((options.TimeProvider.GetElapsedTime(_started), new StringBuilder()));
            }

            _pieces[^1].Text.Append(characters, 0, length);
        }
    }

    /// <summary>Writes the file, mode 0600 and durable, and gives the event that links it from the audit chain.</summary>
    /// <param name="path">Where; its last name becomes the event's.</param>
    /// <param name="title">Shown by players. Untrusted text is fine.</param>
    /// <param name="callId">The tool call whose output it is.</param>
    /// <param name="sandbox">Where the program ran.</param>
    /// <exception cref="IOException">It cannot be written.</exception>
    public SessionRecorded Complete(string path, string title, string callId, string? sandbox)
    {
        lock (_gate)
        {
            (byte[] file, long redactions) = Render(title);
            LedgerFile.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/");
            string draft = path + ".draft";
            using (Microsoft.Win32.SafeHandles.SafeFileHandle handle = LedgerFile.CreateEmpty(draft))
            {
                RandomAccess.Write(handle, file, 0);
                LinuxFile.SyncData(handle);
            }

            File.Move(draft, path, overwrite: false);
            LinuxFile.SyncDirectory(Path.GetDirectoryName(Path.GetFullPath(path)) ?? "/");
            return new SessionRecorded
            {
                Recording = Path.GetFileName(path), CallId = callId, Sandbox = sandbox, Format = Format, Sha256 = Convert.ToHexStringLower(SHA256.HashData(file)),
                Bytes = file.Length, CutBytes = _cut == 0 ? null : _cut, Redactions = redactions == 0 ? null : redactions,
                DurationMs = (long)options.TimeProvider.GetElapsedTime(_started).TotalMilliseconds,
            };
        }
    }

    private (byte[] File, long Redactions) Render(string title)
    {
        using var file = new MemoryStream();
        using (var json = new Utf8JsonWriter(file))
        {
            json.WriteStartObject();
            json.WriteNumber("version", 2);
            json.WriteNumber("width", options.Screen.Width);
            json.WriteNumber("height", options.Screen.Height);
            json.WriteNumber("timestamp", _startedAt.ToUnixTimeSeconds());
            json.WriteString("title", title.Length <= 200 ? title : title[..200]);
            json.WriteEndObject();
        }

        file.WriteByte((byte)'\n');
        string all = string.Concat(_pieces.Select(piece => piece.Text.ToString()));
        IReadOnlyList<Range> hidden = options.Redaction?.Find(all) ?? [];
        int from = 0;
        int next = 0;
        foreach ((TimeSpan at, StringBuilder text) in _pieces)
        {
            string shown = Shown(all, from, from + text.Length, hidden, ref next);
            from += text.Length;
            if (shown.Length == 0)
            {
                continue;
            }

            using var json = new Utf8JsonWriter(file);
            json.WriteStartArray();
            json.WriteRawValue(at.TotalSeconds.ToString("0.000000", CultureInfo.InvariantCulture));
            json.WriteStringValue("o");
            json.WriteStringValue(shown);
            json.WriteEndArray();
            json.Flush();
            file.WriteByte((byte)'\n');
        }

        return (file.ToArray(), hidden.Count);
    }

    /// <summary>A part of the text without what is hidden; the marker stands in the piece in which the hidden part begins.</summary>
    private static string Shown(string all, int from, int to, IReadOnlyList<Range> hidden, ref int next)
    {
        var shown = new StringBuilder(to - from);
        int at = from;
        while (next < hidden.Count && hidden[next].Start.Value < to)
        {
            (int start, int end) = (hidden[next].Start.Value, hidden[next].End.Value);
            Debug.Assert(start < end, "ranges are not empty");
            if (start >= at)
            {
                shown.Append(all, at, start - at).Append(Marker);
            }

            at = Math.Max(at, Math.Min(end, to));
            if (end > to)
            {
                return shown.ToString(); // It goes on in the next piece.
            }

            next++;
        }

        return shown.Append(all, at, to - at).ToString();
    }
}
