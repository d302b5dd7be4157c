using System.Text;
using System.Text.Json;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Recording;

namespace Rynxs.Ledger.Tests.Recording;

/// <summary>Recordings: the asciicast form, bounds, redaction, and what hostile files do to the reader.</summary>
public sealed class SessionRecorderTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();

    private string FilePath => _directory.At("ns", "a", "c1.cast");

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void Output_is_kept_as_asciicast_2_and_linked_by_its_hash()
    {
        var recorder = new SessionRecorder(new RecordingOptions());
        recorder.Write(false, "hello \u001b[1mworld\n"u8);
        recorder.Write(true, "oops\n"u8);

        SessionRecorded link = recorder.Complete(FilePath, "ns/a c1", "c1", "sb-1");

        string[] lines = File.ReadAllLines(FilePath);
        JsonElement header = JsonElement.Parse(lines[0]);
        (header.GetProperty("version").GetInt32(), header.GetProperty("width").GetInt32(), header.GetProperty("title").GetString()).ShouldBe((2, 120, "ns/a c1"));
        JsonElement.Parse(lines[1])[1].GetString().ShouldBe("o");
        (link.Sha256, link.Bytes).ShouldBe(SessionRecording.Fingerprint(FilePath));
        link.CutBytes.ShouldBeNull();
        Text().ShouldBe("hello \u001b[1mworld\noops\n");
        new FileInfo(FilePath).UnixFileMode.ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Fact]
    public void A_character_that_is_cut_between_two_writes_stays_whole()
    {
        var recorder = new SessionRecorder(new RecordingOptions());
        byte[] text = "é😀"u8.ToArray();
        foreach (byte one in text)
        {
            recorder.Write(false, [one]);
            recorder.Write(true, "."u8);
        }

        recorder.Complete(FilePath, "", "c1", null);

        Text().Replace(".", "", StringComparison.Ordinal).ShouldBe("é😀");
    }

    [Fact]
    public void What_exceeds_the_bound_is_counted_and_not_kept()
    {
        var recorder = new SessionRecorder(new RecordingOptions { MaxOutputBytes = 10, MaxPieces = 2 });
        for (int number = 0; number < 5; number++)
        {
            recorder.Write(false, "abc"u8);
        }

        SessionRecorded link = recorder.Complete(FilePath, "", "c1", null);

        link.CutBytes.ShouldBe(5);
        Text().ShouldBe("abcabcabca");
        SessionRecording.Read(FilePath).Count.ShouldBe(2);
    }

    [Fact]
    public void F6_Secrets_of_known_shape_are_left_out_even_across_writes()
    {
        string token = "rynxs_" + new string('x', 40);
        string pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQ\n-----END PRIVATE KEY-----";
        string all = $"before {token} between\n{pem}\nafter AKIAABCDEFGHIJKLMNOP.";
        for (int size = 1; size < 60; size += 7)
        {
            var recorder = new SessionRecorder(new RecordingOptions());
            foreach (string part in all.Chunk(size).Select(chunk => new string(chunk)))
            {
                recorder.Write(false, Encoding.UTF8.GetBytes(part));
            }

            string path = _directory.At($"{size}.cast");
            SessionRecorded link = recorder.Complete(path, "", "c1", null);

            link.Redactions.ShouldBe(3);
            string.Concat(SessionRecording.Read(path).Select(piece => piece.Text)).ShouldBe("before [redacted] between\n[redacted]\nafter [redacted].");
            File.ReadAllText(path).ShouldNotContain("MC4CAQ");
        }
    }

    [Fact]
    public void A_recording_is_never_replaced()
    {
        new SessionRecorder(new RecordingOptions()).Complete(FilePath, "", "c1", null);

        Should.Throw<IOException>(() => new SessionRecorder(new RecordingOptions()).Complete(FilePath, "", "c1", null));
    }

    [Theory]
    [InlineData("")]
    [InlineData("[]")]
    [InlineData("{\"version\":1}")]
    [InlineData("{\"version\":2}\n{}")]
    [InlineData("{\"version\":2}\n[1,\"o\"]")]
    [InlineData("{\"version\":2}\n[-1,\"o\",\"x\"]")]
    [InlineData("{\"version\":2}\n[1e300,\"o\",\"x\"]")]
    [InlineData("{\"version\":2}\n[1,\"o\",\"\\ud800\"]")]
    [InlineData("{\"version\":2}\n[1,\"o\",\"x\"")]
    public void A_file_that_is_no_recording_is_refused(string content)
    {
        Should.Throw<FormatException>(() => SessionRecording.Parse(Encoding.UTF8.GetBytes(content)));
    }

    private string Text() => string.Concat(SessionRecording.Read(FilePath).Select(piece => piece.Text));
}
