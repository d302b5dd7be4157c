using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Verifier;
using Rynxs.Resources.Identity;
using Rynxs.Server.Tests.Kit;
using Rynxs.Server.Transparency;

namespace Rynxs.Server.Tests.Transparency;

/// <summary>What an auditor fetches from a running server, checked with nothing but SHA-256 and a pinned key.</summary>
public sealed class CheckpointEndpointTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task F1_checkpoint_tiles_and_entries_are_served_to_auditors_and_add_up_over_restarts_and_a_rotation()
    {
        SignedCheckpoint first;
        PinnedKey pinned;
        string firstKey;
        await using (TestServer server = await StartAsync())
        {
            using HttpClient auditor = server.ClientFor("user:auditor", Role.Auditor);
            JsonElement status = await CoveredAsync(server);
            status.GetProperty("origin").GetString().ShouldBe("test.example/log");
            firstKey = status.GetProperty("keys").EnumerateArray().ShouldHaveSingleItem().GetString().ShouldNotBeNull();
            pinned = PinnedKey.Parse(firstKey);
            first = await CheckpointAsync(auditor, pinned);
            await CheckTreeAsync(auditor, "/api/v1/ledger/tlog/", first, Path.Combine(server.State, "ledger", "control"));

            // An agent's chain has a tree of its own, under the agent's namespace.
            using (HttpResponseMessage none = await auditor.GetAsync("/api/v1/ledger/agents/rynxs/no-such/tlog/checkpoint", Cancelled))
            {
                none.StatusCode.ShouldBe(HttpStatusCode.NotFound);
            }

            await CheckAccessAsync(server, first.Size);
        }

        // A restart goes on from there, and a key that is rotated meanwhile is taken without another.
        await using (TestServer server = await StartAsync())
        {
            using HttpClient auditor = server.ClientFor("user:auditor2", Role.Auditor);
            await CoveredAsync(server);
            SignedCheckpoint second = await CheckpointAsync(auditor, pinned);
            second.Size.ShouldBeGreaterThan(first.Size);
            await CheckTreeAsync(auditor, "/api/v1/ledger/tlog/", second, Path.Combine(server.State, "ledger", "control"));
            Verify(server, [pinned], first, second).ShouldBeTrue();

            using (KeyDirectory keys = KeyDirectory.Open(Path.Combine(server.State, "keys", "ledger")))
            {
                keys.Rotate(TimeSpan.FromDays(1), TimeProvider.System);
            }

            JsonElement rotated = await server.WaitForAsync("/api/v1/ledger/log", log => log.GetProperty("keys").GetArrayLength() == 2);
            rotated.GetProperty("keys")[1].GetString().ShouldBe(firstKey);
            PinnedKey fresh = PinnedKey.Parse(rotated.GetProperty("keys")[0].GetString() ?? "");
            await server.WaitForAsync("/api/v1/ledger/log", _ => IsSignedBy(server.State, fresh));
            SignedCheckpoint third = await CheckpointAsync(auditor, fresh);
            (await CheckpointAsync(auditor, pinned)).Root.ShouldBe(third.Root, "the old pin still counts during the overlap");
            Verify(server, [fresh], first, second, third).ShouldBeTrue();
            string metrics = await server.GetTextAsync("/metrics");
            metrics.ShouldContain("rynxs_checkpoint_failing 0\n");
            metrics.ShouldContain("rynxs_ledger_alarms 0\n");
            metrics.ShouldContain("rynxs_ledger_writable 1\n");
        }
    }

    private Task<TestServer> StartAsync() => TestServer.StartAsync(
        _directory.At("state"), options => options with { Transparency = new TransparencyOptions { Origin = "test.example/log", IntervalSeconds = 1 }, WarmSandboxes = 0 });

    /// <summary>Adds an object, and waits until a checkpoint covers all that was recorded.</summary>
    private static async Task<JsonElement> CoveredAsync(TestServer server)
    {
        string name = "n" + Guid.NewGuid().ToString("N")[..8];
        await server.PostAsync("/api/v1/namespaces", $$$"""{"apiVersion":"v1","kind":"Namespace","metadata":{"name":"{{{name}}}"}}""", HttpStatusCode.Created);
        return await server.WaitForAsync("/api/v1/ledger/log", log => log.GetProperty("uncovered").GetInt64() == 0 && log.TryGetProperty("published_at", out JsonElement at) && at.ValueKind == JsonValueKind.String);
    }

    private static async Task<SignedCheckpoint> CheckpointAsync(HttpClient client, PinnedKey key)
    {
        using HttpResponseMessage response = await client.GetAsync("/api/v1/ledger/tlog/checkpoint", Cancelled);
        response.StatusCode.ShouldBe(HttpStatusCode.OK);
        response.Headers.CacheControl?.NoStore.ShouldBeTrue();
        byte[] note = await response.Content.ReadAsByteArrayAsync(Cancelled);
        SignedNote.Parse(note).VerifyBy([VerifierKey.Parse(key.Text)]).ShouldNotBeEmpty();
        return SignedCheckpoint.Parse(note);
    }

    private static bool IsSignedBy(string state, PinnedKey key) =>
        SignedNote.Parse(File.ReadAllBytes(Path.Combine(state, "ledger", "control", "tlog", "checkpoint"))).VerifyBy([VerifierKey.Parse(key.Text)]).Count > 0;

    private static bool Verify(TestServer server, IReadOnlyList<PinnedKey> keys, params SignedCheckpoint[] kept) => ChainVerifier.VerifyPath(
        Path.Combine(server.State, "ledger"),
        new VerificationOptions { Keys = keys, Checkpoints = [.. kept.Select(checkpoint => new KeptCheckpoint("kept", checkpoint))] }, Cancelled).Valid;

    /// <summary>The entries are the records' hashes, the tiles are the entries' hashes, and the root over them is the signed one.</summary>
    private static async Task CheckTreeAsync(HttpClient client, string prefix, SignedCheckpoint checkpoint, string chain)
    {
        string[] recorded =
        [
            .. Directory.GetFiles(chain, "records-*.jsonl").Order(StringComparer.Ordinal).SelectMany(File.ReadLines).Take((int)checkpoint.Size)
                .Select(line => JsonElement.Parse(line).GetProperty("event_hash").GetString() ?? ""),
        ];
        recorded.Length.ShouldBe((int)checkpoint.Size);
        List<byte[]> leaves = [];
        for (int tile = 0; tile * 256 < checkpoint.Size; tile++)
        {
            int width = (int)Math.Min(256, checkpoint.Size - (tile * 256));
            string name = width == 256 ? $"{tile:D3}" : $"{tile:D3}.p/{width}";
            byte[] hashes = await client.GetByteArrayAsync($"{prefix}tile/0/{name}", Cancelled);
            byte[] entries = await client.GetByteArrayAsync($"{prefix}tile/entries/{name}", Cancelled);
            (hashes.Length, entries.Length).ShouldBe((width * 32, width * 34));
            for (int index = 0; index < width; index++)
            {
                byte[] entry = entries[((index * 34) + 2)..((index + 1) * 34)];
                Convert.ToHexStringLower(entry).ShouldBe(recorded[(tile * 256) + index]);
                SHA256.HashData([0, .. entry]).ShouldBe(hashes[(index * 32)..((index + 1) * 32)]);
                leaves.Add(hashes[(index * 32)..((index + 1) * 32)]);
            }
        }

        Convert.ToBase64String(Root(leaves)).ShouldBe(Encoding.UTF8.GetString(await client.GetByteArrayAsync(prefix + "checkpoint", Cancelled)).Split('\n')[2]);
    }

    /// <summary>RFC 6962 section 2.1, as it stands there.</summary>
    private static byte[] Root(List<byte[]> leaves)
    {
        if (leaves.Count == 1)
        {
            return leaves[0];
        }

        int split = 1;
        while (split * 2 < leaves.Count)
        {
            split *= 2;
        }

        return SHA256.HashData([1, .. Root([.. leaves.Take(split)]), .. Root([.. leaves.Skip(split)])]);
    }

    private static async Task CheckAccessAsync(TestServer server, long size)
    {
        using HttpClient nobody = server.Client(null), developer = server.ClientFor("user:dev", Role.Developer), elsewhere = server.ClientFor("user:aud", Role.Auditor, "team-a");
        using HttpClient auditor = server.ClientFor("user:auditor3", Role.Auditor);
        foreach ((HttpClient client, string path, HttpStatusCode expected) in new (HttpClient, string, HttpStatusCode)[]
        {
            (nobody, "tlog/checkpoint", HttpStatusCode.Unauthorized),
            (nobody, "log", HttpStatusCode.Unauthorized),
            (developer, "tlog/checkpoint", HttpStatusCode.Forbidden),
            (developer, "log", HttpStatusCode.Forbidden),
            (elsewhere, "agents/rynxs/a/tlog/checkpoint", HttpStatusCode.NotFound),
            (auditor, "tlog/../../../keys/ledger/keys.json", HttpStatusCode.NotFound),
            (auditor, "tlog/..%2f..%2f..%2fkeys%2fledger%2fkeys.json", HttpStatusCode.NotFound),
            (auditor, "tlog/tile/0/000.p/0", HttpStatusCode.NotFound),
            (auditor, "tlog/tile/0/999", HttpStatusCode.NotFound),
            (auditor, "tlog/tile/0/000.p/" + size, HttpStatusCode.OK), // Positive control.
        })
        {
            using HttpResponseMessage response = await client.GetAsync("/api/v1/ledger/" + path, Cancelled);
            response.StatusCode.ShouldBe(expected, path);
        }
    }
}
