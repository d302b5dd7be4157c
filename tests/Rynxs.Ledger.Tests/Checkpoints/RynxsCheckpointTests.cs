using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Ledger.Checkpoints;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Replay;

namespace Rynxs.Ledger.Tests.Checkpoints;

/// <summary>Checkpoints in the original's format, against its vector.</summary>
public sealed class RynxsCheckpointTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly SigningKey _key;
    private readonly LogSource _log;

    public RynxsCheckpointTests()
    {
        byte[] seed = Convert.FromHexString(Vector.GetProperty("seed_hex").GetString() ?? "");
        string pem = "-----BEGIN PRIVATE KEY-----\n" + Convert.ToBase64String([.. Convert.FromHexString("302e020100300506032b657004220420"), .. seed]) + "\n-----END PRIVATE KEY-----\n";
        _key = SigningKey.FromPem("test", pem);
        _log = LogSource.Open(Logs.Write(_directory, Logs.DemoV1));
    }

    private static CancellationToken Stop => TestContext.Current.CancellationToken;

    private static JsonElement Vector => Logs.Vectors.GetProperty("checkpoint");

    private string PublicPem => _key.ToPublicPem();

    public void Dispose()
    {
        _key.Dispose();
        _directory.Dispose();
    }

    [Fact]
    public void A_checkpoint_of_the_vectors_is_made_bit_for_bit()
    {
        RynxsCheckpoint checkpoint = Create();

        PublicPem.ShouldBe(Vector.GetProperty("public_pem").GetString());
        checkpoint.PubkeyId.ShouldBe(Vector.GetProperty("pubkey_id").GetString());
        checkpoint.FileName.ShouldBe(Vector.GetProperty("file_name").GetString());
        Encoding.UTF8.GetString(checkpoint.SignedBytes).ShouldBe(Vector.GetProperty("signing_payload_canonical").GetString());
        Convert.ToBase64String(checkpoint.Signature.Span).ShouldBe(Vector.GetProperty("signature_base64").GetString());
    }

    [Fact]
    public void A_checkpoint_survives_its_file()
    {
        var store = new CheckpointDirectory(_directory.At("checkpoints"));
        string path = store.Write(Create());

        RynxsCheckpoint read = CheckpointDirectory.Read(path);

        CheckpointVerification.Full(read, PublicPem, _log, Stop).ShouldSatisfyAllConditions(
            report => report.Errors.ShouldBeEmpty(),
            report => report.EventHashValid.ShouldBe(true),
            report => report.ChainValid.ShouldBe(true),
            report => report.ReplayValid.ShouldBe(true));
        store.FindLatest().ShouldBe(path);
        store.FindAtOrBefore(5).ShouldBeNull();
    }

    [Fact]
    public void F1_Full_compares_the_event_hash_with_the_log()
    {
        // The original's full mode reported event_hash_valid without looking.
        RynxsCheckpoint forged = Resigned(Create() with { EventHash = new string('e', 64) });

        CheckpointVerification.Signature(forged, PublicPem).Valid.ShouldBeTrue();
        CheckpointReport report = CheckpointVerification.Full(forged, PublicPem, _log, Stop);
        (report.EventHashValid, report.ReplayValid, report.Valid).ShouldBe((false, true, false));
    }

    [Fact]
    public void F1_Full_walks_the_chain()
    {
        RynxsCheckpoint checkpoint = Create();
        List<string> lines = [.. Logs.DemoV1];
        lines[2] = lines[2].Replace("CREATED", "PATCHED", StringComparison.Ordinal);

        CheckpointReport report = CheckpointVerification.Full(checkpoint, PublicPem, LogSource.Open(Logs.Write(_directory, lines, "other.log")), Stop);

        (report.SignatureValid, report.ChainValid, report.Valid).ShouldBe((true, false, false));
    }

    [Fact]
    public void F1_A_log_whose_tail_was_cut_off_is_shorter_than_its_checkpoint()
    {
        CheckpointReport report = CheckpointVerification.Full(
            Create(), PublicPem, LogSource.Open(Logs.Write(_directory, Logs.DemoV1.Take(5), "cut.log")), Stop);

        report.Errors.ShouldHaveSingleItem().ShouldContain("ends at 4");
    }

    [Fact]
    public void F1_Each_signed_field_is_bound_by_the_signature_and_the_state_by_its_hash()
    {
        RynxsCheckpoint good = Create();
        CheckpointVerification.Signature(good, PublicPem).Valid.ShouldBeTrue();

        RynxsCheckpoint[] forged =
        [
            good with { EventIndex = 5 }, good with { EventHash = new string('0', 64) }, good with { StateHash = new string('0', 64) },
            good with { CreatedAtLogical = 1 }, good with { PubkeyId = new string('0', 16) }, good with { Signature = new byte[64] },
            good with { Signature = new byte[3] }, good with { StateBytes = "{}"u8.ToArray() },
        ];
        forged.ShouldAllBe(checkpoint => !CheckpointVerification.Signature(checkpoint, PublicPem).Valid);
    }

    [Fact]
    public void Another_key_does_not_verify()
    {
        using var other = SigningKey.Generate("other");

        CheckpointVerification.Signature(Create(), other.ToPublicPem()).Errors[0].ShouldContain("another key");
    }

    [Theory]
    [InlineData("version", "2")]
    [InlineData("version", "\"1\"")]
    [InlineData("event_index", "-1")]
    [InlineData("event_index", "1.5")]
    [InlineData("event_hash", "\"xyz\"")]
    [InlineData("state_bytes", "\"*\"")]
    [InlineData("signature", "null")]
    [InlineData("pubkey_id", "{}")]
    public void A_bad_field_is_named(string field, string value)
    {
        JsonObject file = JsonNode.Parse(Create().ToFile())?.AsObject() ?? [];
        file[field] = JsonNode.Parse(value);

        Should.Throw<FormatException>(() => RynxsCheckpoint.Parse(Encoding.UTF8.GetBytes(file.ToJsonString()))).Message.ShouldStartWith(field);
        file.Remove(field);
        Should.Throw<FormatException>(() => RynxsCheckpoint.Parse(Encoding.UTF8.GetBytes(file.ToJsonString()))).Message.ShouldStartWith(field);
    }

    [Fact]
    public void Rotation_keeps_the_newest()
    {
        var store = new CheckpointDirectory(_directory.At("checkpoints"));
        for (int index = 0; index < 7; index++)
        {
            store.Write(RynxsCheckpoint.Create(LogReplay.Run(_log, new ReplayEnd.Sequence(index), null, Stop), _key));
        }

        store.Rotate(kept: 2).ShouldBe(5);
        store.List().Select(item => item.EventIndex).ShouldBe([5, 6]);
    }

    private RynxsCheckpoint Create() => RynxsCheckpoint.Create(LogReplay.Run(_log, new ReplayEnd.Head(), null, Stop), _key);

    private RynxsCheckpoint Resigned(RynxsCheckpoint checkpoint) => checkpoint with { Signature = _key.Sign(checkpoint.SignedBytes) };
}
