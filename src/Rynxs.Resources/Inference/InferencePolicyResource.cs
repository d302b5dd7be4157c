using System.Text.Json.Serialization;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Crds;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Inference;

/// <summary>Which models agents of a namespace may call, where these are to be had, and how much they may use. Without one for an agent everything is refused.</summary>
public sealed record InferencePolicyResource : Resource
{
    /// <inheritdoc/>
    [JsonPropertyOrder(-2)] // Not inherited from the base property.
    public override string Kind => "InferencePolicy";

    /// <summary>Desired state.</summary>
    public required InferencePolicySpec Spec { get; init; }

    /// <summary>Observed state, written through the status subresource alone.</summary>
    public InferencePolicyStatus? Status { get; init; }
}

/// <summary>What is allowed.</summary>
public sealed record InferencePolicySpec
{
    /// <summary>Among the policies that name an agent the highest priority applies alone; two of the same refuse. -1000 to 1000, default 0.</summary>
    [Schema(Min = -1000, Max = 1000)]
    public int Priority { get; init; }

    /// <summary>Names of agents, or wildcards such as <c>research-*</c>.</summary>
    [Schema(MinItems = 1, MaxItems = 256, Pattern = "^[a-z0-9*-]{1,63}$")]
    public required IReadOnlyList<string> Agents { get; init; }

    /// <summary>Servers of models.</summary>
    [Schema(Key = "name", MinItems = 1, MaxItems = 32)]
    public required IReadOnlyList<InferenceUpstream> Upstreams { get; init; }

    /// <summary>Models that may be named; every other name is refused.</summary>
    [Schema(Key = "name", MinItems = 1, MaxItems = 1024)]
    public required IReadOnlyList<InferenceModelEntry> Models { get; init; }

    /// <summary>Bounds on one request and on one agent.</summary>
    public InferenceLimitsSpec Limits { get; init; } = new();

    /// <summary>Budgets that are shared and last.</summary>
    [Schema(MaxItems = 32)]
    public IReadOnlyList<InferenceBudget> Budgets { get; init; } = [];

    /// <summary>Rules on requests and answers.</summary>
    public InferenceRules Rules { get; init; } = new();

    /// <summary>Puts requests and their hashes into the ledger, where an erasure can reach them; by default only hashes. Default false.</summary>
    public bool RecordContent { get; init; }
}

/// <summary>A server of models.</summary>
[SchemaRule("!has(self.apiVersion) || self.kind == 'azure-openai'", "apiVersion is Azure's alone", Reason = "FieldValueForbidden", FieldPath = ".apiVersion")]
public sealed record InferenceUpstream
{
    /// <summary>Unique within the policy.</summary>
    [Schema(Name = true)]
    public required string Name { get; init; }

    /// <summary><c>openai</c> (any compatible API), <c>azure-openai</c>, <c>anthropic</c>, <c>ollama</c> or <c>llama-cpp</c>.</summary>
    [Schema(Enum = ["openai", "azure-openai", "anthropic", "ollama", "llama-cpp"])]
    public required string Kind { get; init; }

    /// <summary>Such as <c>https://api.openai.com/v1</c>, <c>https://NAME.openai.azure.com</c>, <c>https://api.anthropic.com</c>, <c>http://127.0.0.1:8080/v1</c>.</summary>
    [Schema(MaxLength = 2048, Pattern = "^https?://[^@ ]+$")]
    public required string BaseUrl { get; init; }

    /// <summary>Azure's <c>api-version</c>.</summary>
    [Schema(MinLength = 1, MaxLength = 64, Pattern = "^[A-Za-z0-9.-]+$")]
    public string? ApiVersion { get; init; }

    /// <summary>Its key or token; none sends none.</summary>
    public CredentialSpec? Credential { get; init; }

    /// <summary>Seconds to wait for the head of an answer, and for what follows within it; 1 to 600, default 60.</summary>
    [Schema(Min = 1, Max = 600)]
    public int TimeoutSeconds { get; init; } = 60;

    /// <summary>Requests at once, 1 to 10000, default 64.</summary>
    [Schema(Min = 1, Max = 10000)]
    public int MaxConcurrent { get; init; } = 64;
}

/// <summary>Where a credential is kept: exactly one of the members.</summary>
[SchemaRule(
    "(has(self.secretRef) ? 1 : 0) + (has(self.file) ? 1 : 0) + (has(self.env) ? 1 : 0) + (has(self.vault) ? 1 : 0) + (has(self.oauth) ? 1 : 0) == 1",
    "exactly one of secretRef, file, env, vault and oauth is due")]
public sealed record CredentialSpec
{
    /// <summary>A key of a Secret in the policy's namespace.</summary>
    public SecretKeyRef? SecretRef { get; init; }

    /// <summary>Name of a file in the gateway's directory of credentials.</summary>
    [Schema(MinLength = 1, MaxLength = 255, Pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*$")]
    public string? File { get; init; }

    /// <summary>A variable of the gateway's environment; its name begins with <c>RYNXS_CREDENTIAL_</c>.</summary>
    [Schema(MaxLength = 255, Pattern = "^RYNXS_CREDENTIAL_[A-Z0-9_]+$")]
    public string? Env { get; init; }

    /// <summary>A key of a secret in Vault's KV store, version 2.</summary>
    public VaultCredential? Vault { get; init; }

    /// <summary>A token by OAuth client credentials.</summary>
    public OAuthCredential? Oauth { get; init; }
}

/// <summary>A key of a secret in Vault.</summary>
public sealed record VaultCredential
{
    /// <summary>Mount of the KV store, default <c>secret</c>.</summary>
    [Schema(MinLength = 1, MaxLength = 128, Pattern = "^[A-Za-z0-9._-]+$")]
    public string Mount { get; init; } = "secret";

    /// <summary>Path of the secret.</summary>
    [Schema(MinLength = 1, MaxLength = 512, Pattern = "^[A-Za-z0-9_-][A-Za-z0-9._-]*(/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$")]
    public required string Path { get; init; }

    /// <summary>Key in its data.</summary>
    [Schema(MinLength = 1, MaxLength = 253, Pattern = "^[A-Za-z0-9._-]+$")]
    public required string Key { get; init; }
}

/// <summary>A token by OAuth client credentials (RFC 6749 4.4).</summary>
public sealed record OAuthCredential
{
    /// <summary>An https address.</summary>
    [Schema(MaxLength = 2048, Pattern = "^https?://[^@ ]+$")]
    public required string TokenUrl { get; init; }

    /// <summary>Client id.</summary>
    [Schema(MinLength = 1, MaxLength = 256)]
    public required string ClientId { get; init; }

    /// <summary>Secret of the client, in the policy's namespace.</summary>
    public required SecretKeyRef ClientSecretRef { get; init; }

    /// <summary>Scopes, separated by spaces.</summary>
    [Schema(MinLength = 1, MaxLength = 1024)]
    public string? Scope { get; init; }

    /// <summary>Resource indicator (RFC 8707).</summary>
    [Schema(MinLength = 1, MaxLength = 2048)]
    public string? Resource { get; init; }
}

/// <summary>A model that may be named.</summary>
public sealed record InferenceModelEntry
{
    /// <summary>The name that callers use: the model's own or an alias.</summary>
    [Schema(MinLength = 1, MaxLength = 256)]
    public required string Name { get; init; }

    /// <summary>Where it is to be had, best first; the next is asked only when the one before surely did no work.</summary>
    [Schema(MinItems = 1, MaxItems = 8)]
    public required IReadOnlyList<InferenceRoute> Routes { get; init; }

    /// <summary>For what: <c>chat</c>, <c>responses</c>, <c>messages</c>, <c>embeddings</c>; default the first three.</summary>
    [Schema(Set = true, MinItems = 1, MaxItems = 4, Pattern = "^(chat|responses|messages|embeddings)$")]
    public IReadOnlyList<string> Endpoints { get; init; } = ["chat", "responses", "messages"];

    /// <summary>Most output tokens of one answer, 1 to 1000000, default 4096; also what is asked for when the caller names none.</summary>
    [Schema(Min = 1, Max = 1000000)]
    public int MaxOutputTokens { get; init; } = 4096;

    /// <summary>USD for a million input tokens, such as <c>0.15</c>; needed where money is limited.</summary>
    [Schema(Pattern = "^[0-9]{1,6}([.][0-9]{1,6})?$")]
    public string? InputUsdPerMillion { get; init; }

    /// <summary>USD for a million output tokens.</summary>
    [Schema(Pattern = "^[0-9]{1,6}([.][0-9]{1,6})?$")]
    public string? OutputUsdPerMillion { get; init; }

    /// <summary>Upper bound of the tokens of one image, 1 to 1000000; without it images are refused.</summary>
    [Schema(Min = 1, Max = 1000000)]
    public int? MaxImageTokens { get; init; }
}

/// <summary>One place where a model is to be had.</summary>
public sealed record InferenceRoute
{
    /// <summary>Name of an upstream of this policy.</summary>
    [Schema(Name = true)]
    public required string Upstream { get; init; }

    /// <summary>The model's name there; for Azure the deployment's.</summary>
    [Schema(MinLength = 1, MaxLength = 256)]
    public required string Model { get; init; }
}

/// <summary>Bounds on one request and on one agent.</summary>
public sealed record InferenceLimitsSpec
{
    /// <summary>Most tokens that one request can use: input by its bytes, output by its bound.</summary>
    [Schema(Min = 1, Max = 1000000000)]
    public long? TokensPerRequest { get; init; }

    /// <summary>Most USD that one request can cost.</summary>
    [Schema(Pattern = "^[0-9]{1,9}([.][0-9]{1,9})?$")]
    public string? UsdPerRequest { get; init; }

    /// <summary>Most choices of one answer, 1 to 16, default 1.</summary>
    [Schema(Min = 1, Max = 16)]
    public int Choices { get; init; } = 1;

    /// <summary>Highest temperature, such as <c>1.0</c>.</summary>
    [Schema(Pattern = "^[0-9]([.][0-9]{1,3})?$")]
    public string? Temperature { get; init; }

    /// <summary>Requests a minute for each agent, 1 to 60000, default 600.</summary>
    [Schema(Min = 1, Max = 60000)]
    public int RequestsPerMinute { get; init; } = 600;

    /// <summary>Requests at once for each agent, 1 to 256, default 16.</summary>
    [Schema(Min = 1, Max = 256)]
    public int Concurrent { get; init; } = 16;

    /// <summary>Requests of an agent that wait for a place, 0 to 1024, default 64; further ones get 429.</summary>
    [Schema(Min = 0, Max = 1024)]
    public int Queued { get; init; } = 64;

    /// <summary>Longest request in bytes, 1024 to 33554432, default 4194304.</summary>
    [Schema(Min = 1024, Max = 33554432)]
    public int RequestBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Longest answer in bytes, 1024 to 67108864, default 16777216.</summary>
    [Schema(Min = 1024, Max = 67108864)]
    public int AnswerBytes { get; init; } = 16 * 1024 * 1024;

    /// <summary>Seconds of a whole call, 1 to 3600, default 600.</summary>
    [Schema(Min = 1, Max = 3600)]
    public int Seconds { get; init; } = 600;
}

/// <summary>At most so much in a period. At least one of tokens and usd.</summary>
[SchemaRule("has(self.tokens) || has(self.usd)", "tokens or usd is due")]
public sealed record InferenceBudget
{
    /// <summary>Who shares it: <c>agent</c>, <c>team</c>, <c>universe</c> or <c>namespace</c>.</summary>
    [Schema(Enum = ["agent", "team", "universe", "namespace"])]
    public required string Scope { get; init; }

    /// <summary><c>day</c>, <c>month</c> (both in UTC) or <c>total</c>.</summary>
    [Schema(Enum = ["day", "month", "total"])]
    public required string Period { get; init; }

    /// <summary>Most tokens.</summary>
    [Schema(Min = 1, Max = 1000000000000)]
    public long? Tokens { get; init; }

    /// <summary>Most USD, such as <c>5.00</c>.</summary>
    [Schema(Pattern = "^[0-9]{1,9}([.][0-9]{1,9})?$")]
    public string? Usd { get; init; }
}

/// <summary>Rules on requests and answers.</summary>
public sealed record InferenceRules
{
    /// <summary>Most tools that are offered to a model, 0 to 1024, default 128.</summary>
    [Schema(Min = 0, Max = 1024)]
    public int MaxTools { get; init; } = 128;

    /// <summary>Tools that may not be offered, as names or wildcards.</summary>
    [Schema(MaxItems = 256, MinLength = 1, MaxLength = 256)]
    public IReadOnlyList<string> ForbiddenTools { get; init; } = [];

    /// <summary>Searches of texts.</summary>
    [Schema(Key = "name", MaxItems = 64)]
    public IReadOnlyList<InferenceDetector> Detectors { get; init; } = [];

    /// <summary>Characters of a stream that are held back while it is searched, 16 to 65536, default 256: at least the length of what patterns find.</summary>
    [Schema(Min = 16, Max = 65536)]
    public int HoldCharacters { get; init; } = 256;

    /// <summary>A service that is asked about texts.</summary>
    public PromptShieldSpec? PromptShield { get; init; }
}

/// <summary>A search of texts: a pattern, or the forms of keys that issuers publish.</summary>
[SchemaRule("has(self.pattern) != has(self.builtIn)", "exactly one of pattern and builtIn is due")]
public sealed record InferenceDetector
{
    /// <summary>Stands in place of what was found.</summary>
    [Schema(Name = true)]
    public required string Name { get; init; }

    /// <summary>A regular expression of .NET without lookarounds and backreferences.</summary>
    [Schema(MinLength = 1, MaxLength = 1024)]
    public string? Pattern { get; init; }

    /// <summary><c>secrets</c>: keys of common services, tokens, private keys.</summary>
    [Schema(Enum = ["secrets"])]
    public string? BuiltIn { get; init; }

    /// <summary><c>redact</c> (default) replaces, <c>deny</c> refuses.</summary>
    [Schema(Enum = ["redact", "deny"])]
    public string Action { get; init; } = "redact";

    /// <summary><c>input</c>, <c>output</c> or <c>both</c> (default).</summary>
    [Schema(Enum = ["input", "output", "both"])]
    public string ApplyTo { get; init; } = "both";
}

/// <summary>A service that is asked about texts; no answer refuses the call.</summary>
public sealed record PromptShieldSpec
{
    /// <summary>Its address; it gets <c>{"direction","texts"}</c> and answers <c>{"flagged"}</c>.</summary>
    [Schema(MaxLength = 2048, Pattern = "^https?://[^@ ]+$")]
    public required string Url { get; init; }

    /// <summary>Bearer token.</summary>
    public CredentialSpec? Credential { get; init; }

    /// <summary>Seconds to wait, 1 to 60, default 5.</summary>
    [Schema(Min = 1, Max = 60)]
    public int TimeoutSeconds { get; init; } = 5;

    /// <summary><c>input</c> (default), <c>output</c> or <c>both</c>; with output, streams are held to their end.</summary>
    [Schema(Enum = ["input", "output", "both"])]
    public string ApplyTo { get; init; } = "input";
}

/// <summary>What the gateway does with it.</summary>
public sealed record InferencePolicyStatus
{
    /// <summary>Generation that was looked at last.</summary>
    public long ObservedGeneration { get; init; }

    /// <summary>SHA-256 of the spec that the gateway enforces now, also when a newer one cannot be.</summary>
    [Schema(Pattern = "^[0-9a-f]{64}$")]
    public string? EnforcedDigest { get; init; }

    /// <summary><c>Enforced</c>.</summary>
    [Schema(Key = "type", MaxItems = 64)]
    public IReadOnlyList<Condition> Conditions { get; init; } = [];
}
