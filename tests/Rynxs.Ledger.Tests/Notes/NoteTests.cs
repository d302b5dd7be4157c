using System.Text;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Notes;

/// <summary>Notes and checkpoints, with the examples of the C2SP specifications; writer and verifier read them by code of their own.</summary>
public sealed class NoteTests
{
    private const string ExampleKey = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";

    private const string ExampleNote =
        "This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n";

    private const string ExampleCheckpoint = """
        example.com/behind-the-sofa
        20852163
        CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=

        — example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=
        — witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==

        """;

    [Fact]
    public void The_example_of_signed_note_verifies()
    {
        SignedNote note = SignedNote.Parse(Encoding.UTF8.GetBytes(ExampleNote));
        VerifierKey key = VerifierKey.Parse(ExampleKey);

        note.VerifyBy([key]).ShouldBe([key]);
        note.ToString().ShouldBe(ExampleNote);
        key.ToString().ShouldBe(ExampleKey);
        PinnedKey.Parse(ExampleKey).Name.ShouldBe("example.com/foo");
    }

    [Fact]
    public void The_example_of_signed_note_with_another_text_is_refused()
    {
        SignedNote note = SignedNote.Parse(Encoding.UTF8.GetBytes(ExampleNote.Replace("example message", "Example message", StringComparison.Ordinal)));

        Should.Throw<FormatException>(() => note.VerifyBy([VerifierKey.Parse(ExampleKey)]));
    }

    [Fact]
    public void The_example_of_a_cosigned_checkpoint_is_read_the_same_by_both_readers()
    {
        SignedNote note = SignedNote.Parse(Encoding.UTF8.GetBytes(ExampleCheckpoint));
        TreeCheckpoint checkpoint = TreeCheckpoint.Parse(note.Text);
        SignedCheckpoint read = SignedCheckpoint.Parse(Encoding.UTF8.GetBytes(ExampleCheckpoint));

        checkpoint.ShouldBe(new TreeCheckpoint("example.com/behind-the-sofa", 20852163, checkpoint.Root));
        (read.Origin, read.Size, read.Root).ShouldBe((checkpoint.Origin, checkpoint.Size, checkpoint.Root.ToString()));
        checkpoint.ToText().ShouldBe(note.Text);
        NoteSignatures.TimeOf(note.Signatures[1].Bytes.Span).ShouldBe(1679315147);
    }

    [Fact]
    public void A_signature_of_an_unknown_key_is_passed_over_and_a_forged_one_of_a_known_key_is_not()
    {
        using SigningKey log = SigningKey.Generate("example.com/log");
        using SigningKey other = SigningKey.Generate("example.com/log");
        string text = new TreeCheckpoint("example.com/log", 1, TreeHash.OfEmptyTree).ToText();
        NoteSignature good = log.Sign(text);
        NoteSignature unknown = other.Sign(text);
        byte[] bytes = good.Bytes.ToArray();
        bytes[3] ^= 1;
        NoteSignature forged = good with { Bytes = bytes };

        new SignedNote(text, [unknown, good]).VerifyBy([log.PublicKey]).ShouldBe([log.PublicKey]);
        new SignedNote(text, [unknown]).VerifyBy([log.PublicKey]).ShouldBeEmpty();
        Should.Throw<FormatException>(() => new SignedNote(text, [good, forged]).VerifyBy([log.PublicKey]));
        SignedCheckpoint.Parse(new SignedNote(text, [unknown, good]).ToBytes()).SignedBy([PinnedKey.Parse(log.ToString())]).Count.ShouldBe(1);
        SignedCheckpoint.Parse(new SignedNote(text, [unknown]).ToBytes()).SignedBy([PinnedKey.Parse(log.ToString())]).Count.ShouldBe(0);
        Should.Throw<ForgedSignatureException>(() => SignedCheckpoint.Parse(new SignedNote(text, [good, forged]).ToBytes()).SignedBy([PinnedKey.Parse(log.ToString())]));
    }

    [Fact]
    public void A_cosignature_covers_its_time_and_is_no_signature_of_a_log()
    {
        using SigningKey witness = SigningKey.Generate("witness.example/w1", NoteSignatureType.CosignatureV1);
        string text = new TreeCheckpoint("example.com/log", 1, TreeHash.OfEmptyTree).ToText();
        NoteSignature cosignature = witness.Cosign(text, DateTimeOffset.FromUnixTimeSeconds(1679315147));
        byte[] later = cosignature.Bytes.ToArray();
        later[7]++;

        NoteSignatures.Verify(witness.PublicKey, text, cosignature.Bytes.Span).ShouldBeTrue();
        NoteSignatures.Verify(witness.PublicKey, text, later).ShouldBeFalse();
        SignedCheckpoint.Parse(new SignedNote(text, [cosignature]).ToBytes()).SignedBy([PinnedKey.Parse(witness.ToString())]).Count.ShouldBe(1);
        Should.Throw<ArgumentException>(() => witness.Sign(text));
    }

    [Theory]
    [InlineData("a\n")]
    [InlineData("a\n\n")]
    [InlineData("a\n\nb\n")]
    [InlineData("a\n\n- a AAAAAAA=\n")]
    [InlineData("a\n\n— a AAAA\n")]
    [InlineData("a\n\n— a AAAAAAB=\n")]
    [InlineData("a\n\n— a+b AAAAAAA=\n")]
    [InlineData("a\n\n— a AAAAAAA=")]
    [InlineData("a\r\n\n— a AAAAAAA=\n")]
    public void What_is_no_note_is_refused(string note) => Should.Throw<FormatException>(() => SignedNote.Parse(Encoding.UTF8.GetBytes(note)));

    [Theory]
    [InlineData("log\n")]
    [InlineData("log\n1\n")]
    [InlineData("log\n01\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n")]
    [InlineData("log\n-1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n")]
    [InlineData("log\n9223372036854775808\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n")]
    [InlineData("log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n")]
    [InlineData("log\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n")]
    [InlineData("\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n")]
    public void What_is_no_checkpoint_is_refused_by_both_readers(string text)
    {
        Should.Throw<FormatException>(() => TreeCheckpoint.Parse(text));
        Should.Throw<FormatException>(() => SignedCheckpoint.Parse(Encoding.UTF8.GetBytes(text + "\n— a AAAAAAA=\n")));
    }

    [Theory]
    [InlineData("example.com/foo+530d903b+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")]
    [InlineData("example.com/fob+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")]
    [InlineData("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2")]
    [InlineData("example.com/foo+530d903a")]
    [InlineData("++")]
    public void What_is_no_key_is_refused_by_both_readers(string text)
    {
        Should.Throw<FormatException>(() => VerifierKey.Parse(text));
        Should.Throw<FormatException>(() => PinnedKey.Parse(text));
    }
}
