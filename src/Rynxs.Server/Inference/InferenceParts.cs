using System.Diagnostics.Metrics;
using System.Text;
using System.Text.Json.Nodes;
using Rynxs.Gateway.Channels;
using Rynxs.Gateway.Credentials;
using Rynxs.Gateway.Inference;
using Rynxs.Gateway.Spool;
using Rynxs.Ledger;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Client;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.ResourceServer.Storage;
using Rynxs.Server.Audit;
using Rynxs.Server.Hosting;
using Rynxs.Server.Secrets;
using Rynxs.Server.State;

namespace Rynxs.Server.Inference;

/// <summary>The way to models in this process: the gateway, its policies, its credentials and whose it all is.</summary>
/// <remarks>Dispose closes the gateway: calls that run were ended before, by the server and the agents that made them.</remarks>
internal sealed class InferenceParts : IAsyncDisposable
{
    private readonly HttpMessageInvoker _http;
    private readonly IResourceClient _system;
    private readonly ResourceStore _store;
    private readonly FileSecretSource _files;

    private InferenceParts(ResourceStore store, StateDirectory state, AgentChains chains, ILedgerChain control, TimeProvider timeProvider, IMeterFactory meters, ILoggerFactory loggers)
    {
        _store = store;
        _system = store.For(Principal.System);
        _files = new FileSecretSource(state.SecretsDirectory);
        _http = new HttpMessageInvoker(new SocketsHttpHandler { AllowAutoRedirect = false, UseProxy = false, UseCookies = false, ConnectTimeout = TimeSpan.FromSeconds(10) });
        try
        {
            VaultOptions? vault = VaultSettings.FromEnvironment();
            Gateway = InferenceGateway.Open(new InferenceGatewayOptions
            {
                SpoolDirectory = Path.Combine(state.Path, "gateway"),
                Log = new LedgerInferenceLog(chains, control),
                Credentials = new CredentialSources(
                    ReadSecretAsync, Path.Combine(state.Path, "credentials"), vault is null ? null : new VaultCredentials(vault, _http, timeProvider), _http, timeProvider),
                TimeProvider = timeProvider,
                Meters = meters,
                LoggerFactory = loggers,
            });
        }
        catch (SpoolUnavailableException unavailable)
        {
            _http.Dispose();
            throw new ServerStartException(StartFailure.StateCorrupt, unavailable.Message, unavailable);
        }

        Policies = new InferencePolicyWatch(Gateway, _system, timeProvider, loggers.CreateLogger<InferencePolicyWatch>());
    }

    public InferenceGateway Gateway { get; }

    public InferencePolicyWatch Policies { get; }

    /// <summary>Opens the gateway with the policies as they are now.</summary>
    public static async Task<InferenceParts> OpenAsync(
        ResourceStore store, StateDirectory state, AgentChains chains, ILedgerChain control, TimeProvider timeProvider, IMeterFactory meters, ILoggerFactory loggers,
        CancellationToken cancellationToken)
    {
        var parts = new InferenceParts(store, state, chains, control, timeProvider, meters, loggers);
        try
        {
            await parts.Policies.LoadAsync(cancellationToken);
            return parts;
        }
        catch
        {
            await parts.DisposeAsync();
            throw;
        }
    }

    /// <summary>The way to the model for an agent's own loop.</summary>
    public HttpMessageHandler TransportOf(NamespacedName agent, ProviderSpec provider)
    {
        InferencePolicyConfig own = InferencePolicyCompiler.OfProvider(agent, provider);
        return Gateway.OpenInProcess(cancellationToken => CallerOfAsync(agent, Principal.ForAgent(agent.Namespace, agent.Name).Name, null, cancellationToken), own);
    }

    /// <summary>Who calls, when it calls for an agent; null when there is no such agent.</summary>
    public async ValueTask<GatewayCaller?> CallerOfAsync(NamespacedName agent, string principal, string? sandbox, CancellationToken cancellationToken)
    {
        AgentResource? found = await _system.TryGetAsync<AgentResource>(agent, cancellationToken);
        return found is null
            ? null
            : new GatewayCaller
            {
                Principal = principal,
                Namespace = agent.Namespace,
                Agent = agent.Name,
                Sandbox = sandbox,
                Team = found.Spec.Team,
                Universe = found.Spec.UniverseRef,
            };
    }

    public async ValueTask DisposeAsync()
    {
        await Gateway.DisposeAsync();
        _http.Dispose();
    }

    /// <summary>A Secret object first, then a file of the state directory: both belong to administrators.</summary>
    private async ValueTask<string?> ReadSecretAsync(CredentialRef.Secret secret, CancellationToken cancellationToken)
    {
        JsonObject? document = await _store.FindDocumentAsync("", "secrets", new NamespacedName(secret.Namespace, secret.SecretName), cancellationToken);
        if (document?["data"]?[secret.Key] is JsonValue value && value.TryGetValue(out string? encoded))
        {
            try
            {
                return Encoding.UTF8.GetString(Convert.FromBase64String(encoded));
            }
            catch (FormatException malformed)
            {
                throw new CredentialException($"The credential '{secret.Name}' is refused: its data is not base64.", malformed);
            }
        }

        try
        {
            return await _files.TryGetAsync(secret.Namespace, secret.SecretName, secret.Key, cancellationToken);
        }
        catch (SecretRefusedException refused)
        {
            throw new CredentialException(refused.Message, refused);
        }
    }
}
