using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.Gateway.Inference.Wire;

namespace Rynxs.Gateway.Tests.Inference;

/// <summary>The parser of server-sent events under arbitrary bytes in arbitrary pieces.</summary>
public sealed class SseReaderTests
{
    private static readonly string[] Alphabet = ["\n", "\r", "\r\n", "data:", "data: ", "event: x", "a", ": comment", "{\"k\":1}", "\n\n", "\u00e9", "id: 7", "\uFEFF"];

    [Fact]
    public void Events_are_the_same_whatever_pieces_the_bytes_arrive_in_and_no_byte_is_lost_or_made() =>
        Prop.ForAll(ArbMap.Default.ArbFor<(byte[] Words, byte[] Cuts)>(), input =>
        {
            byte[] bytes = Encoding.UTF8.GetBytes(string.Concat((input.Words ?? []).Select(word => Alphabet[word % Alphabet.Length])));
            (List<SseEvent> whole, int left) = Read([bytes]);
            List<byte[]> pieces = [];
            int at = 0;
            foreach (byte cut in input.Cuts ?? [])
            {
                int length = Math.Min(cut % 7, bytes.Length - at);
                pieces.Add(bytes[at..(at + length)]);
                at += length;
            }

            pieces.Add(bytes[at..]);
            (List<SseEvent> cutUp, int leftToo) = Read(pieces);
            return left == leftToo
                && whole.Count == cutUp.Count
                && whole.Zip(cutUp).All(pair => pair.First.Name == pair.Second.Name && pair.First.Data.Span.SequenceEqual(pair.Second.Data.Span) && pair.First.Raw.Span.SequenceEqual(pair.Second.Raw.Span))
                && whole.Sum(one => one.Raw.Length) + left <= bytes.Length;
        }).QuickCheckThrowOnFailure();

    [Theory]
    [InlineData(1000)]
    public void Arbitrary_bytes_end_in_events_or_a_refusal_and_memory_stays_bounded(int rounds)
    {
        if (Environment.GetEnvironmentVariable("RYNXS_SOAK") is { Length: > 0 })
        {
            rounds = 10_000_000;
        }

        Random random = new(7);
        byte[] buffer = new byte[64];
        for (int i = 0; i < rounds; i++)
        {
            SseReader reader = new(256);
            try
            {
                for (int j = 0; j < 8; j++)
                {
                    random.NextBytes(buffer);
                    reader.Append(buffer);
                    while (reader.TryRead(out SseEvent one))
                    {
                        one.Raw.Length.ShouldBeLessThanOrEqualTo(256 + 64);
                    }

                    reader.Pending.ShouldBeLessThanOrEqualTo(256 + 64);
                }
            }
            catch (SseException)
            {
                // A refusal.
            }
        }
    }

    [Fact]
    public void Data_lines_are_joined_and_names_read_as_the_standard_says()
    {
        (List<SseEvent> events, _) = Read([Encoding.UTF8.GetBytes("event: add\ndata: one\ndata:two\n\n: nothing\n\ndata\n\n")]);

        events.Select(one => (one.Name, Encoding.UTF8.GetString(one.Data.Span))).ShouldBe([("add", "one\ntwo"), (null, ""), (null, "")]);
    }

    private static (List<SseEvent> Events, int Left) Read(IEnumerable<byte[]> pieces)
    {
        SseReader reader = new(1 << 20);
        List<SseEvent> events = [];
        foreach (byte[] piece in pieces)
        {
            reader.Append(piece);
            while (reader.TryRead(out SseEvent one))
            {
                events.Add(one);
            }
        }

        reader.End();
        while (reader.TryRead(out SseEvent last))
        {
            events.Add(last);
        }

        return (events, reader.Pending);
    }
}
