using System.Net;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Resources.Identity;

namespace Rynxs.Server.Tests.Identity;

/// <summary>
/// The access reviews of the recorded transcripts (auth.json), against the server that knows who asks. Equal but for: metadata.managedFields, which we do not keep
/// for what is stored nowhere; status.reason, which we give with a no; and of a self review the user's name, groups and credential id, which are ours.
/// </summary>
public sealed class RecordedReviewTests(TlsServer shared) : IClassFixture<TlsServer>
{
    public static TheoryData<int> Reviews => [0, 1, 2];

    [Theory]
    [MemberData(nameof(Reviews))]
    public async Task A_recorded_review_is_answered_as_the_real_server_answered_it(int index)
    {
        JsonNode exchange = JsonNode.Parse(await File.ReadAllTextAsync(Path.Combine(AppContext.BaseDirectory, "Transcripts", "auth.json"), TestContext.Current.CancellationToken))
            .ShouldNotBeNull().AsArray()[index].ShouldNotBeNull();
        JsonNode request = exchange["request"].ShouldNotBeNull(), response = exchange["response"].ShouldNotBeNull();
        // The recorded "dev" may do nothing; the role that may least, in a namespace of its own, is nearest to it.
        using HttpClient client = (string?)exchange["identity"] == "admin"
            ? shared.Server.Client(shared.Server.Server.AdminToken)
            : shared.Server.ClientFor($"user:dev-{index}", Role.Agent, "team-b");

        JsonElement answer = await shared.Server.PostAsync(
            ((string?)request["path"]).ShouldNotBeNull(), request["body"].ShouldNotBeNull().ToJsonString(), (HttpStatusCode)(int)response["status"].ShouldNotBeNull(), client);

        Comparable(JsonNode.Parse(answer.GetRawText())).ShouldBe(Comparable(response["body"]));
    }

    private static string Comparable(JsonNode? review)
    {
        JsonObject document = review.ShouldBeOfType<JsonObject>();
        (document["metadata"] as JsonObject)?.Remove("managedFields");
        if (document["metadata"]?["creationTimestamp"] is not null)
        {
            document["metadata"]!["creationTimestamp"] = "<time>"; // It is there, as was just seen.
        }

        if (document["status"] is JsonObject status)
        {
            status.Remove("reason");
            if (status["userInfo"] is JsonObject user)
            {
                user["username"].ShouldNotBeNull();
                user["groups"].ShouldBeOfType<JsonArray>().Select(group => (string?)group).ShouldContain("system:authenticated");
                status["userInfo"] = "<who asked>";
            }
        }

        return Sorted(document).ToJsonString();
    }

    private static JsonNode Sorted(JsonNode node) => node is JsonObject map
        ? new JsonObject(map.OrderBy(member => member.Key, StringComparer.Ordinal).Select(member => KeyValuePair.Create(member.Key, member.Value is null ? null : Sorted(member.Value))))
        : node.DeepClone();
}
