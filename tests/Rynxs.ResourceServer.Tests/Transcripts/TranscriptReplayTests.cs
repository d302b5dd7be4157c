using Rynxs.ResourceServer.Tests.Kit;

namespace Rynxs.ResourceServer.Tests.Transcripts;

/// <summary>The judge of this server: what a real one answered.</summary>
public sealed class TranscriptReplayTests
{
    /// <summary>Less than the recording makes: the recorded server, too, had forgotten its first versions when it was asked for them.</summary>
    private const int Window = 20;

    [Fact]
    public async Task Our_server_answers_every_recorded_request_as_the_real_one_did_but_for_the_listed_deviations()
    {
        ReplayClock clock = new();
        await using ApiServer server = await ApiServer.StartAsync(options => options with { TimeProvider = clock, HistoryWindow = Window });
        TranscriptReplay replay = new(server, clock);
        List<string> failures = [];
        int equal = 0;
        int deviating = 0;
        foreach (string file in TranscriptExchange.Files)
        {
            if (file == "list-watch")
                await MakeConfigMapsAsync(server);
            foreach (TranscriptExchange exchange in TranscriptExchange.Read(file))
            {
                IReadOnlyList<string> differences = await replay.RunAsync(exchange);
                bool listed = TranscriptDeviations.All.TryGetValue((exchange.File, exchange.Index), out string? reason);
                if (differences.Count == 0)
                    equal++;
                else if (listed)
                    deviating++;
                if (differences.Count > 0 && !listed)
                    failures.Add($"{exchange}:\n    {string.Join("\n    ", differences)}");
                else if (differences.Count == 0 && listed)
                    failures.Add($"{exchange}: is listed as deviating ({reason}) and does not");
                else if (listed)
                    TestContext.Current.TestOutputHelper?.WriteLine($"{exchange}: deviates: {reason}");
            }
        }

        string summary = $"{equal} of {equal + deviating + failures.Count} equal, {deviating} listed deviations, {failures.Count} unlisted";
        TestContext.Current.TestOutputHelper?.WriteLine(summary);
        failures.ShouldBeEmpty($"{summary}\n{string.Join("\n", failures)}");
    }

    private static async Task MakeConfigMapsAsync(ApiServer server)
    {
        for (int i = 0; i < 5; i++)
        {
            await server.JsonAsync("POST", "/api/v1/namespaces/t1/configmaps",
                $$$"""{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"cm{{{i}}}","labels":{"n":"{{{i}}}","odd":"{{{i % 2}}}"}},"data":{"k":"v"}}""", 201);
        }
    }
}
