using System.Collections.Concurrent;
using System.Diagnostics.Metrics;
using System.Net.Sockets;
using System.Text;
using Rynxs.Agents.Egress;
using Rynxs.Gateway.Channels;
using Rynxs.Gateway.Egress;
using Rynxs.Ledger;
using Rynxs.Policy.Egress;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Egress;
using Rynxs.Server.Audit;
using Rynxs.Server.Inference;

namespace Rynxs.Server.Egress;

/// <summary>The gateway of this server's sandboxes: opens their channels, keeps their models those of the objects, and shows that it enforces.</summary>
/// <remarks>Dispose cuts every channel and waits for their records.</remarks>
internal sealed partial class EgressService : IAgentEgress, IAsyncDisposable
{
    private static readonly ChannelId Self = new("self");
    private static readonly TimeSpan ProbePatience = TimeSpan.FromSeconds(5);

    private readonly EgressGateway _gateway;
    private readonly EgressChannels _channels;
    private readonly EgressLedger _ledger;
    private readonly EgressObjects _objects;
    private readonly AgentChains _chains;
    private readonly string _directory;
    private readonly ConcurrentDictionary<NamespacedName, Task<FetchChannel>> _fetchers = [];
    private readonly ILogger<EgressService> _logger;

    private EgressService(EgressGateway gateway, EgressChannels channels, EgressLedger ledger, EgressObjects objects, AgentChains chains, string directory, ILogger<EgressService> logger)
    {
        (_gateway, _channels, _ledger, _objects, _chains, _directory, _logger) = (gateway, channels, ledger, objects, chains, directory, logger);
        _gateway.Open(Self, SelfSocket, EgressPolicyModel.DenyAll, new EgressLimits { MaxFlowsPerSecond = 100 });
    }

    public EgressObjects Objects => _objects;

    public EgressChannels Channels => _channels;

    public EgressLedger Ledger => _ledger;

    private string SelfSocket => Path.Combine(_directory, "self");

    /// <summary>Starts the proxy; nobody has a channel yet.</summary>
    public static async Task<EgressService> StartAsync(
        string stateDirectory, IResourceClient resources, AgentChains chains, InferenceParts inference, IReadOnlyList<string> opened, EgressNames names, IMeterFactory meters, TimeProvider timeProvider,
        ILoggerFactory loggers, CancellationToken cancellationToken)
    {
        EgressChannels channels = new();
        EgressLedger ledger = new(channels, meters, loggers.CreateLogger<EgressLedger>());
        EgressGateway gateway = await EgressGateway.StartAsync(
            new EgressGatewayOptions
            {
                Log = ledger,
                LoggerFactory = loggers,
                TimeProvider = timeProvider,
                Resolver = names,
                Service = inference.Gateway,
                FindCaller = (id, token) => channels.Find(id) is { } open ? CallerAsync(inference, open, token) : ValueTask.FromResult<GatewayCaller?>(null),
            },
            cancellationToken);
        AddressRange[] ranges = [.. opened.Select(text => AddressRange.TryParse(text, out AddressRange? range) ? range : throw new FormatException(text))];
        return new EgressService(
            gateway, channels, ledger, new EgressObjects(resources, ranges, timeProvider), chains, SocketDirectory(stateDirectory), loggers.CreateLogger<EgressService>());
    }

    /// <summary>The way out of a program's sandbox.</summary>
    public ISandboxEgress ForExecution(string resourceNamespace, string agentId, EgressMode mode, string principal) =>
        new ChannelOpener(this, new EgressSubjectOf(resourceNamespace, agentId, mode, IsExecution: true), principal);

    /// <inheritdoc/>
    public async Task<ISandboxEgress?> OfSandboxAsync(NamespacedName agent, CancellationToken cancellationToken)
    {
        var subject = new EgressSubjectOf(agent.Namespace, agent.Name, EgressMode.Restricted, IsExecution: false);
        return (await _objects.CompileAsync(subject, cancellationToken)).IsGoverned
            ? new ChannelOpener(this, subject, Principal.ForAgent(agent.Namespace, agent.Name).Name)
            : null;
    }

    /// <inheritdoc/>
    public async Task<HttpMessageInvoker> FetcherAsync(NamespacedName agent, CancellationToken cancellationToken) =>
        (await _fetchers.GetOrAdd(agent, OpenFetcherAsync).WaitAsync(cancellationToken)).Client;

    /// <summary>Compiles for every open channel, and swaps. Flows that are not allowed any more are cut before this returns; the others go on.</summary>
    public async Task RefreshAsync(CancellationToken cancellationToken)
    {
        Dictionary<EgressSubjectOf, CompiledEgress> compiled = [];
        foreach (OpenChannel channel in _channels.All)
        {
            if (!compiled.TryGetValue(channel.Subject, out CompiledEgress? model))
            {
                compiled[channel.Subject] = model = await _objects.CompileAsync(channel.Subject, cancellationToken);
            }

            channel.Channel.ReplacePolicy(model.Model);
        }
    }

    /// <summary>Asks the gateway, over a socket as sandboxes have, for a name that nothing allows; what it answered.</summary>
    public async Task<(bool Enforces, string Answer)> ProbeAsync(CancellationToken cancellationToken)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        patience.CancelAfter(ProbePatience);
        try
        {
            using Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            await socket.ConnectAsync(new UnixDomainSocketEndPoint(SelfSocket), patience.Token);
            string host = EgressPolicy.ProbeHost.Text;
            await socket.SendAsync(Encoding.ASCII.GetBytes($"CONNECT {host}:443 HTTP/1.1\r\nHost: {host}:443\r\n\r\n"), patience.Token);
            byte[] answer = new byte[64];
            int read = await socket.ReceiveAsync(answer, patience.Token);
            string line = Encoding.Latin1.GetString(answer, 0, read).Split('\r')[0];
            return (line == "HTTP/1.1 403 egress_denied", line);
        }
        catch (SocketException gone)
        {
            return (false, gone.SocketErrorCode.ToString());
        }
        catch (OperationCanceledException) when (!cancellationToken.IsCancellationRequested)
        {
            return (false, "no answer in time");
        }
    }

    public async ValueTask DisposeAsync()
    {
        foreach (Task<FetchChannel> fetcher in _fetchers.Values)
        {
            if (fetcher.IsCompletedSuccessfully)
            {
                (await fetcher).Client.Dispose();
            }
        }

        await _gateway.DisposeAsync();
        _ledger.Dispose();
        try
        {
            Directory.Delete(_directory, recursive: true);
        }
        catch (IOException left)
        {
            LogDirectoryLeft(left, _directory);
        }
    }

    /// <summary>Models are for agents alone: who executes under an agent's id is not that agent, and must not spend its budget.</summary>
    private static ValueTask<GatewayCaller?> CallerAsync(InferenceParts inference, OpenChannel open, CancellationToken cancellationToken) => open.Subject.IsExecution
        ? ValueTask.FromResult<GatewayCaller?>(null)
        : inference.CallerOfAsync(new NamespacedName(open.Subject.Namespace, open.Subject.AgentId), open.Principal, open.Id.ToString(), cancellationToken);

    private async Task<EgressChannel> OpenAsync(ChannelId id, EgressSubjectOf subject, string principal, string socketPath, CancellationToken cancellationToken)
    {
        CompiledEgress compiled = await _objects.CompileAsync(subject, cancellationToken);
        ILedgerChain chain = await _chains.OpenAsync(subject.Namespace, AgentChains.ChainNameOf(subject.AgentId), cancellationToken);
        var open = new OpenChannel(id, subject, chain, principal) { Channel = _gateway.Open(id, socketPath, compiled.Model, compiled.Limits) };
        _channels.Add(open);

        // Objects that changed between reading them and being known here would be missed by a refresh in between.
        open.Channel.ReplacePolicy((await _objects.CompileAsync(subject, cancellationToken)).Model);
        return open.Channel;
    }

    private async Task<FetchChannel> OpenFetcherAsync(NamespacedName agent)
    {
        try
        {
            var id = new ChannelId($"fetch:{agent}");
            string path = Path.Combine(_directory, "f" + Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(Encoding.UTF8.GetBytes(agent.ToString())))[..16]);
            await OpenAsync(id, new EgressSubjectOf(agent.Namespace, agent.Name, EgressMode.Restricted, IsExecution: false), Principal.ForAgent(agent.Namespace, agent.Name).Name, path, CancellationToken.None);
            return FetchChannel.Over(path);
        }
        catch
        {
            _fetchers.TryRemove(agent, out _);
            throw;
        }
    }

    /// <summary>Below the state where its path is short enough for sockets, else below the host's directory for temporary files.</summary>
    private static string SocketDirectory(string stateDirectory)
    {
        const int longestName = 24;
        string below = Path.Combine(stateDirectory, "egress");
        if (Encoding.UTF8.GetByteCount(below) + longestName > EgressGateway.MaxSocketPathBytes)
        {
            return Directory.CreateTempSubdirectory("rynxs-egress-").FullName;
        }

        if (Directory.Exists(below))
        {
            Directory.Delete(below, recursive: true);
        }

        Directory.CreateDirectory(below, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        return below;
    }

    /// <summary>Opens the channel of one sandbox when the sandbox is there.</summary>
    private sealed class ChannelOpener(EgressService service, EgressSubjectOf subject, string principal) : ISandboxEgress
    {
        public string Mode => subject.Mode == EgressMode.Full ? "full" : "restricted";

        public async Task<IAsyncDisposable> OpenAsync(SandboxId sandbox, SandboxOwner owner, string socketPath, CancellationToken cancellationToken)
        {
            try
            {
                var id = new ChannelId(sandbox.Value);
                EgressChannel channel = await service.OpenAsync(id, subject, principal, socketPath, cancellationToken);
                return new Registration(service._channels, channel);
            }
            catch (Exception unavailable) when (unavailable is ResourceException or LedgerUnavailableException)
            {
                throw new SandboxRefusedException("network", "The egress policy or the ledger cannot be read; without them nothing goes out.", unavailable);
            }
        }
    }

    private sealed class Registration(EgressChannels channels, EgressChannel channel) : IAsyncDisposable
    {
        public async ValueTask DisposeAsync()
        {
            // Known until its last record is written.
            await channel.DisposeAsync();
            channels.Remove(channel.Id);
        }
    }

    [LoggerMessage(Level = LogLevel.Warning, Message = "The directory of egress sockets {Directory} could not be removed")]
    private partial void LogDirectoryLeft(Exception exception, string directory);
}

/// <summary>HTTP over a channel: the channel is the proxy, and there is no other way.</summary>
internal sealed record FetchChannel(HttpMessageInvoker Client)
{
    public static FetchChannel Over(string socketPath) => new(new HttpMessageInvoker(new SocketsHttpHandler
    {
        // The name is never looked up: every connection goes to the socket.
        Proxy = new System.Net.WebProxy("http://egress.rynxs.invalid:3128"),
        AllowAutoRedirect = false,
        UseCookies = false,
        AutomaticDecompression = System.Net.DecompressionMethods.None,
        MaxResponseHeadersLength = 64,
        PooledConnectionLifetime = TimeSpan.FromMinutes(1),
        ConnectCallback = async (_, cancellationToken) =>
        {
            Socket socket = new(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
            try
            {
                await socket.ConnectAsync(new UnixDomainSocketEndPoint(socketPath), cancellationToken);
                return new NetworkStream(socket, ownsSocket: true);
            }
            catch
            {
                socket.Dispose();
                throw;
            }
        },
    }));
}
