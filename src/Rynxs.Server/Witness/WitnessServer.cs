using System.Net;
using System.Security.Cryptography;
using System.Text;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Rynxs.Ledger;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Witnessing;
using Rynxs.Server.Hosting;
using Rynxs.Server.Logging;

namespace Rynxs.Server.Witness;

/// <summary>Settings of a <see cref="WitnessServer"/>.</summary>
public sealed record WitnessServerOptions
{
    /// <summary><c>ADDRESS:PORT</c>; port 0 takes a free one.</summary>
    public required string Listen { get; init; }

    /// <summary>State, keys and logs.</summary>
    public required WitnessOptions Witness { get; init; }

    /// <summary>Token that requests must carry. Null: anyone may ask, as C2SP tlog-witness has it; only checkpoints that a known log signed are cosigned.</summary>
    public string? Token { get; init; }

    /// <summary>Where the JSON log lines go. Null: standard error.</summary>
    public TextWriter? LogWriter { get; init; }
}

/// <summary>
/// The role <c>witness</c>: C2SP tlog-witness over HTTP (<c>POST /add-checkpoint</c>, <c>GET /ORIGINHASH/checkpoint</c>), and <c>GET /livez</c>. It
/// shares nothing with a server but the program.
/// </summary>
public sealed partial class WitnessServer : IAsyncDisposable
{
    private readonly WebApplication _application;
    private readonly Ledger.Witnessing.Witness _witness;

    private WitnessServer(WebApplication application, Ledger.Witnessing.Witness witness, Uri url) => (_application, _witness, Url) = (application, witness, url);

    /// <summary>Base URL with the port really bound: the submission and the monitoring prefix.</summary>
    public Uri Url { get; }

    /// <summary>Starts and returns when it answers.</summary>
    /// <exception cref="ServerStartException">The address or the state cannot be used.</exception>
    public static async Task<WitnessServer> StartAsync(WitnessServerOptions options, CancellationToken cancellationToken)
    {
        if (!ServerOptions.TryParseListen(options.Listen, out IPEndPoint? endpoint))
        {
            throw new ServerStartException(StartFailure.InvalidOptions, $"--listen: '{options.Listen}' is not ADDRESS:PORT.");
        }

        Ledger.Witnessing.Witness witness = Open(options.Witness);
        WebApplication application = Build(options, endpoint);
        try
        {
            Map(application, options.Token, witness);
            await application.StartAsync(cancellationToken);
            string address = application.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses.First();
            return new WitnessServer(application, witness, new Uri(address));
        }
        catch (Exception exception)
        {
            await application.DisposeAsync();
            witness.Dispose();
            if (exception is IOException or System.Net.Sockets.SocketException)
            {
                throw new ServerStartException(StartFailure.AddressUnavailable, $"'{options.Listen}' cannot be listened on: {exception.Message}", exception);
            }

            throw;
        }
    }

    /// <summary>Ends running requests within a few seconds and closes the state.</summary>
    public async ValueTask DisposeAsync()
    {
        using var limit = new CancellationTokenSource(TimeSpan.FromSeconds(5));
        try
        {
            await _application.StopAsync(limit.Token);
        }
        catch (OperationCanceledException) when (limit.IsCancellationRequested)
        {
            // Requests that did not end in time are cut off; what was cosigned is durable.
        }

        await _application.DisposeAsync();
        _witness.Dispose();
    }

    private static Ledger.Witnessing.Witness Open(WitnessOptions options)
    {
        try
        {
            return Ledger.Witnessing.Witness.Open(options);
        }
        catch (LedgerLockedException exception)
        {
            throw new ServerStartException(StartFailure.StateLocked, exception.Message, exception);
        }
        catch (LedgerCorruptException exception)
        {
            throw new ServerStartException(StartFailure.StateCorrupt, exception.Message, exception);
        }
        catch (LedgerUnavailableException exception)
        {
            throw new ServerStartException(StartFailure.StateUnavailable, exception.Message, exception);
        }
    }

    private static WebApplication Build(WitnessServerOptions options, IPEndPoint endpoint)
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Logging.AddProvider(new JsonLoggerProvider(options.LogWriter ?? Console.Error, LogLevel.Information, options.Witness.TimeProvider));
        builder.Services.AddRouting();
        builder.WebHost.UseKestrelCore().ConfigureKestrel(kestrel =>
        {
            kestrel.AddServerHeader = false;
            kestrel.Limits.MaxRequestBodySize = ConsistencyProof.MaxBytes;
            kestrel.Limits.MaxRequestHeadersTotalSize = 8 * 1024;
            kestrel.Limits.MaxRequestHeaderCount = 32;
            kestrel.Limits.MaxConcurrentConnections = 256;
            kestrel.Limits.RequestHeadersTimeout = TimeSpan.FromSeconds(5);
            kestrel.Limits.MinRequestBodyDataRate = new MinDataRate(bytesPerSecond: 1024, gracePeriod: TimeSpan.FromSeconds(5));
            kestrel.Listen(endpoint, listen => listen.Protocols = HttpProtocols.Http1);
        });
        return builder.Build();
    }

    private static void Map(WebApplication application, string? token, Ledger.Witnessing.Witness witness)
    {
        ILogger logger = application.Services.GetRequiredService<ILogger<WitnessServer>>();
        application.MapGet("/livez", () => Results.Text("ok\n"));
        application.MapPost("/add-checkpoint", async (HttpContext context) =>
        {
            if (!IsAllowed(context, token))
            {
                return Results.Text("A valid token is required.\n", statusCode: StatusCodes.Status401Unauthorized);
            }

            byte[]? body = await ReadAsync(context);
            if (body is null)
            {
                return Results.Text("The body is too long.\n", statusCode: StatusCodes.Status413PayloadTooLarge);
            }

            try
            {
                WitnessAnswer answer = await witness.AddCheckpointAsync(body, context.RequestAborted);
                LogAnswered(logger, answer.Status);
                return Results.Text(answer.Body, answer.ContentType, Encoding.UTF8, answer.Status);
            }
            catch (LedgerUnavailableException exception)
            {
                LogNotStored(logger, exception.Message);
                return Results.Text("The witness cannot store what it cosigns.\n", statusCode: StatusCodes.Status503ServiceUnavailable);
            }
        });
        application.MapGet("/{origin}/checkpoint", async (HttpContext context, string origin) =>
        {
            if (!IsAllowed(context, token))
            {
                return Results.Text("A valid token is required.\n", statusCode: StatusCodes.Status401Unauthorized);
            }

            SignedNote? latest = await witness.LatestAsync(origin, context.RequestAborted);
            return latest is null
                ? Results.Text("This witness has cosigned no checkpoint of that log.\n", statusCode: StatusCodes.Status404NotFound)
                : Results.Text(latest.ToString());
        });
    }

    private static bool IsAllowed(HttpContext context, string? token)
    {
        const string Scheme = "Bearer ";
        string given = context.Request.Headers.Authorization.ToString();
        return token is null || (given.StartsWith(Scheme, StringComparison.Ordinal)
            && CryptographicOperations.FixedTimeEquals(
                SHA256.HashData(Encoding.UTF8.GetBytes(given[Scheme.Length..])), SHA256.HashData(Encoding.UTF8.GetBytes(token))));
    }

    private static async Task<byte[]?> ReadAsync(HttpContext context)
    {
        byte[] body = new byte[ConsistencyProof.MaxBytes];
        try
        {
            int length = await context.Request.Body.ReadAtLeastAsync(body, body.Length, throwOnEndOfStream: false, context.RequestAborted);
            return body[..length];
        }
        catch (Microsoft.AspNetCore.Http.BadHttpRequestException exception) when (exception.StatusCode == StatusCodes.Status413PayloadTooLarge)
        {
            return null; // Kestrel's limit is the same size.
        }
    }

    [LoggerMessage(Level = LogLevel.Information, Message = "add-checkpoint answered {Status}")]
    private static partial void LogAnswered(ILogger logger, int status);

    [LoggerMessage(Level = LogLevel.Error, Message = "Nothing was cosigned: {Reason}")]
    private static partial void LogNotStored(ILogger logger, string reason);
}
