namespace Rynxs.ResourceServer.Tests.Transcripts;

/// <summary>Where our server answers otherwise than the recorded one, and why. An entry that no longer deviates fails the test too.</summary>
internal static class TranscriptDeviations
{
    public static IReadOnlyDictionary<(string File, int Index), string> All { get; } = new Dictionary<(string, int), string>
    {
        [("discovery", 9)] = "The same operations and schemas in our own words: descriptions, tags, title and the order of parameters differ. Its schemas are compared by the OpenApi tests.",
        [("errors", 7)] = "We read protobuf and write none, so we do not name it among the media types that can be asked for.",
        [("list-watch", 15)] = "A version that was never given belongs to another life of the store (a restored backup). We say 410 at once, so that the client lists again; the real server waits, and says nothing before the time is over.",
        [("auth", 0)] = Elsewhere,
        [("auth", 1)] = Elsewhere,
        [("auth", 2)] = Elsewhere,
    };

    private const string Elsewhere = "Reviews are served by Rynxs.Server, which knows who asks: RecordedReviewTests replays these exchanges there. Here nothing is mapped at their paths.";
}
