using System.Diagnostics.CodeAnalysis;

namespace Rynxs.Ledger.Export;

/// <summary>The form in which events leave.</summary>
public enum ExportForm
{
    /// <summary>OCSF JSON lines.</summary>
    Ocsf,

    /// <summary>CEF in syslog messages.</summary>
    Cef,

    /// <summary>OTLP logs over HTTP.</summary>
    Otlp,
}

/// <summary>Where events go, read from a URL.</summary>
/// <remarks>
/// <c>syslog+tcp://HOST:PORT</c>, <c>syslog+tls://HOST:PORT</c> (default port 6514), <c>ocsf+http(s)://…</c>, <c>ocsf+file:///PATH</c>,
/// <c>otlp+http(s)://HOST:PORT</c> (<c>/v1/logs</c> when no path is given). User names and passwords in a URL are refused: it is logged.
/// </remarks>
public sealed record ExportDestination
{
    private ExportDestination(ExportForm form, Uri transport, string name) => (Form, Transport, Name) = (form, transport, name);

    public ExportForm Form { get; }

    /// <summary>Scheme <c>tcp</c>, <c>tls</c>, <c>http</c>, <c>https</c> or <c>file</c>.</summary>
    public Uri Transport { get; }

    /// <summary>The URL as given; holds no secret.</summary>
    public string Name { get; }

    /// <summary>A short name that differs between destinations: names the cursor's file.</summary>
    public string Id => Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(System.Text.Encoding.UTF8.GetBytes(Name)))[..16];

    /// <summary>Reads a URL.</summary>
    /// <param name="text">The URL.</param>
    /// <param name="destination">What it names.</param>
    /// <param name="problem">What is wrong with it, in words.</param>
    public static bool TryParse(string text, [NotNullWhen(true)] out ExportDestination? destination, [NotNullWhen(false)] out string? problem)
    {
        ArgumentNullException.ThrowIfNull(text);
        destination = null;
        int plus = text.IndexOf('+', StringComparison.Ordinal);
        ExportForm? form = plus < 0 ? null : text[..plus] switch
        {
            "syslog" => ExportForm.Cef,
            "ocsf" => ExportForm.Ocsf,
            "otlp" => ExportForm.Otlp,
            _ => null,
        };
        if (form is not { } known || !Uri.TryCreate(text[(plus + 1)..], UriKind.Absolute, out Uri? transport))
        {
            problem = $"'{text}' is no destination. Known: syslog+tcp://HOST:PORT, syslog+tls://HOST:PORT, ocsf+https://…, ocsf+file:///PATH, otlp+http://HOST:4318.";
            return false;
        }

        problem = (known, transport.Scheme) switch
        {
            _ when transport.UserInfo.Length > 0 => "A destination holds no user name or password; give a token in a file.",
            (ExportForm.Cef, "tcp") when transport.Port <= 0 => $"'{text}' names no port.",
            (ExportForm.Cef, "tcp" or "tls") => null,
            (ExportForm.Ocsf, "http" or "https") => null,
            (ExportForm.Ocsf, "file") when transport.Host.Length == 0 => null,
            (ExportForm.Otlp, "http" or "https") => null,
            _ => $"'{text}': this form does not go over {transport.Scheme}.",
        };
        if (problem is not null)
        {
            return false;
        }

        Uri final = (known, transport) switch
        {
            (ExportForm.Otlp, { AbsolutePath: "/" or "" }) => new Uri(transport, "/v1/logs"),
            (ExportForm.Cef, { Scheme: "tls", Port: <= 0 }) => new UriBuilder(transport) { Port = 6514 }.Uri,
            _ => transport,
        };
        destination = new ExportDestination(known, final, text);
        return true;
    }
}
