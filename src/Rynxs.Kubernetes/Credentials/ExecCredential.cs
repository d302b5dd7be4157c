using System.Diagnostics;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Rynxs.Kubernetes.Credentials;

/// <summary>How to call a program that makes credentials (client.authentication.k8s.io).</summary>
public sealed record ExecPlugin
{
    /// <summary><c>client.authentication.k8s.io/v1</c> or <c>/v1beta1</c>.</summary>
    public required string ApiVersion { get; init; }

    /// <summary>Program: a path, or a name that is looked up in PATH.</summary>
    public required string Command { get; init; }

    public IReadOnlyList<string> Arguments { get; init; } = [];

    /// <summary>Set in addition to this process's own environment.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();

    /// <summary>How long the program may take; 60 s unless told.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(60);
}

/// <summary>A credential from a program. What it gives is kept until it expires or the server refuses it. It is never asked anything on a terminal.</summary>
public sealed class ExecCredential(ExecPlugin plugin, TimeProvider timeProvider) : IClientCredential, IDisposable
{
    private const int MaxOutput = 1024 * 1024;

    // Asked for anew a little before it ends, so that a request under way does not meet the end.
    private static readonly TimeSpan Margin = TimeSpan.FromSeconds(10);

    private readonly SemaphoreSlim _running = new(1, 1);
    private volatile Made? _made;

    /// <inheritdoc/>
    public X509Certificate2? Certificate => _made?.Certificate;

    /// <inheritdoc/>
    public async ValueTask<string?> TokenAsync(string? rejected, CancellationToken cancellationToken)
    {
        if (Usable(rejected) is { } known)
        {
            return known.Token;
        }

        await _running.WaitAsync(cancellationToken);
        try
        {
            if (Usable(rejected) is { } meanwhile)
            {
                return meanwhile.Token;
            }

            Made made = await RunAsync(cancellationToken);
            _made = made;
            return made.Token;
        }
        finally
        {
            _running.Release();
        }
    }

    /// <inheritdoc/>
    public void Dispose() => _running.Dispose();

    private Made? Usable(string? rejected) =>
        _made is { } made && (rejected is null || made.Token != rejected) && (made.Expires is not { } end || timeProvider.GetUtcNow() < end - Margin) ? made : null;

    private async Task<Made> RunAsync(CancellationToken cancellationToken)
    {
        var start = new ProcessStartInfo(plugin.Command) { RedirectStandardOutput = true, RedirectStandardInput = true, RedirectStandardError = true, UseShellExecute = false };
        foreach (string argument in plugin.Arguments)
        {
            start.ArgumentList.Add(argument);
        }

        foreach ((string name, string value) in plugin.Environment)
        {
            start.Environment[name] = value;
        }

        start.Environment["KUBERNETES_EXEC_INFO"] =
            $$$"""{"apiVersion":"{{{JsonEncodedText.Encode(plugin.ApiVersion)}}}","kind":"ExecCredential","spec":{"interactive":false}}""";
        using Process process = Begin(start);
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(plugin.Timeout);
        try
        {
            process.StandardInput.Close();
            Task errors = process.StandardError.BaseStream.CopyToAsync(Stream.Null, deadline.Token); // may hold secrets: dropped
            byte[] output = await ReadAsync(process.StandardOutput.BaseStream, deadline.Token);
            await errors;
            await process.WaitForExitAsync(deadline.Token);
            return process.ExitCode == 0 ? Parse(output) : throw Fail($"ended with code {process.ExitCode}");
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            throw Fail($"gave no credential within {plugin.Timeout.TotalSeconds:0} s");
        }
        finally
        {
            if (!process.HasExited)
            {
                process.Kill(entireProcessTree: true);
            }
        }
    }

    private Process Begin(ProcessStartInfo start)
    {
        try
        {
            return Process.Start(start) ?? throw Fail("did not start");
        }
        catch (Exception exception) when (exception is System.ComponentModel.Win32Exception or IOException)
        {
            throw Fail($"cannot be started: {exception.Message}");
        }
    }

    private async Task<byte[]> ReadAsync(Stream stream, CancellationToken cancellationToken)
    {
        using var content = new MemoryStream();
        byte[] buffer = new byte[16 * 1024];
        while (await stream.ReadAsync(buffer, cancellationToken) is > 0 and int read)
        {
            if (content.Length + read > MaxOutput)
            {
                throw Fail($"wrote more than {MaxOutput} bytes");
            }

            content.Write(buffer, 0, read);
        }

        return content.ToArray();
    }

    private Made Parse(byte[] output)
    {
        ExecCredentialBody? body;
        try
        {
            body = JsonSerializer.Deserialize(output, ExecCredentialJson.Default.ExecCredentialBody);
        }
        catch (JsonException)
        {
            throw Fail("wrote no JSON"); // Not the parser's message: it may quote a token.
        }

        if (body is not { Kind: "ExecCredential", Status: { } status } || body.ApiVersion != plugin.ApiVersion)
        {
            throw Fail($"wrote no ExecCredential of {plugin.ApiVersion} with a status");
        }

        X509Certificate2? certificate = null;
        if (status.ClientCertificateData is { } certificatePem)
        {
            try
            {
                certificate = X509Certificate2.CreateFromPem(certificatePem, status.ClientKeyData ?? throw Fail("gave a certificate without its key"));
            }
            catch (Exception exception) when (exception is CryptographicException or ArgumentException)
            {
                throw Fail("gave a certificate that cannot be used");
            }
        }

        if (string.IsNullOrEmpty(status.Token) && certificate is null)
        {
            throw Fail("gave neither a token nor a certificate");
        }

        return new Made(string.IsNullOrEmpty(status.Token) ? null : status.Token, certificate, status.ExpirationTimestamp);
    }

    private CredentialException Fail(string what) => new($"the credential program '{plugin.Command}' {what}");

    private sealed record Made(string? Token, X509Certificate2? Certificate, DateTimeOffset? Expires);
}

internal sealed record ExecCredentialBody(string? ApiVersion, string? Kind, ExecCredentialStatus? Status);

internal sealed record ExecCredentialStatus(string? Token, string? ClientCertificateData, string? ClientKeyData, DateTimeOffset? ExpirationTimestamp);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase, MaxDepth = 16)]
[JsonSerializable(typeof(ExecCredentialBody))]
internal sealed partial class ExecCredentialJson : JsonSerializerContext;
