namespace Rynxs.ResourceServer.Tests.Transcripts;

public sealed class TranscriptFileTests
{
    [Fact]
    public void Every_transcript_is_read_and_no_exchange_lacks_its_request_or_its_status()
    {
        string[] present = [.. Directory.EnumerateFiles(Path.Combine(AppContext.BaseDirectory, "Transcripts"), "*.json").Select(Path.GetFileNameWithoutExtension).Order()!];
        present.ShouldBe(TranscriptExchange.Files.Order());

        TranscriptExchange[] all = [.. TranscriptExchange.Files.SelectMany(TranscriptExchange.Read)];
        all.Length.ShouldBeGreaterThan(100);
        all.ShouldAllBe(exchange => exchange.Method != "" && exchange.Path != "" && exchange.Status != 0);
    }
}
