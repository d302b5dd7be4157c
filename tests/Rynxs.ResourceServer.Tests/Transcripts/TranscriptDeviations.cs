namespace Rynxs.ResourceServer.Tests.Transcripts;

/// <summary>Where our server answers otherwise than the recorded one, and why. An entry that no longer deviates fails the test too.</summary>
internal static class TranscriptDeviations
{
    public static IReadOnlyDictionary<(string File, int Index), string> All { get; } = new Dictionary<(string, int), string>
    {
    };
}
