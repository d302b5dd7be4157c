using System.Text;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Tests.Anchors;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Verification;

/// <summary>Proof files: made from tiles, verified by the verifier's own code and by a Python script that has none of ours.</summary>
public sealed class ProofFileTests : IDisposable
{
    private static readonly string[] Pythons = ["/usr/bin/python3", "/usr/local/bin/python3"];
    private static readonly string[] Altered = ["index 123", "\n302\n", "— rynxs"];

    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Theory]
    [InlineData(1, 0)]
    [InlineData(10, 3)]
    [InlineData(400, 0)]
    [InlineData(400, 255)]
    [InlineData(400, 256)]
    [InlineData(400, 401)]
    public async Task A_record_is_proved_to_whoever_pins_the_key(int records, int seq)
    {
        (PinnedKey key, string proof, string record) = await ProveAsync(records, seq);

        VerifiedProof verified = ProofVerifier.VerifyRecord(Encoding.UTF8.GetBytes(proof), Encoding.UTF8.GetBytes(record), [key], null);

        (verified.Index, verified.Origin).ShouldBe((seq, PublishedLedger.Origin));
        verified.SignedBy.ShouldBe([key.Text]);
    }

    [Fact]
    public async Task F1_a_proof_for_another_record_or_with_any_changed_byte_is_refused()
    {
        (PinnedKey key, string proof, string record) = await ProveAsync(20, 5);
        byte[] good = Encoding.UTF8.GetBytes(proof);
        byte[] line = Encoding.UTF8.GetBytes(record);
        string other = File.ReadLines(_directory.At("ledger", "control", SegmentName.Of(0))).ElementAt(6);

        Should.Throw<ProofException>(() => ProofVerifier.VerifyRecord(good, Encoding.UTF8.GetBytes(other), [key], null)).Code.ShouldBe(FailureCodes.ProofInvalid);
        Should.Throw<ProofException>(() => ProofVerifier.VerifyRecord(good, line, [], null)).Code.ShouldBe(FailureCodes.CheckpointUnsigned);
        for (int at = 0; at < good.Length; at++)
        {
            byte[] changed = [.. good];
            changed[at] ^= 1;
            Should.Throw<ProofException>(() => ProofVerifier.VerifyRecord(changed, line, [key], null), $"byte {at}");
        }

        for (int at = 0; at < line.Length; at++)
        {
            byte[] changed = [.. line];
            changed[at] ^= 1;
            Should.Throw<ProofException>(() => ProofVerifier.VerifyRecord(good, changed, [key], null), $"byte {at} of the record");
        }
    }

    [Theory]
    [InlineData(1, 1)]
    [InlineData(3, 4)]
    [InlineData(255, 300)]
    [InlineData(256, 1)]
    [InlineData(20, 0)]
    public async Task Growth_is_proved_and_a_split_view_is_named(int first, int more)
    {
        await using PublishedLedger ledger = await PublishedLedger.OpenAsync(_directory.At("ledger"), _directory.At("keys"));
        await ledger.AppendAndPublishAsync(first);
        SignedCheckpoint older = ledger.Checkpoint();
        await ledger.AppendAndPublishAsync(more);
        var tree = new FileTreeStore(_directory.At("ledger", "control"));
        SignedNote note = SignedNote.Parse(await File.ReadAllBytesAsync(_directory.At("ledger", "control", "tlog", "checkpoint"), Cancelled));
        TreeCheckpoint newer = TreeCheckpoint.Parse(note.Text);
        IReadOnlyList<TreeHash> path = await new TileReader(tree, newer.Size).ConsistencyAsync(older.Size, Cancelled);
        byte[] proof = Encoding.UTF8.GetBytes(new ConsistencyProof(older.Size, path, note).ToString());

        ProofVerifier.VerifyConsistency(proof, older, [ledger.Key], null).Size.ShouldBe(newer.Size);

        // The same key signed another history of the older size.
        var lie = new TreeCheckpoint(older.Origin, older.Size, TreeHash.OfEntry([1]));
        SignedCheckpoint shown = SignedCheckpoint.Parse(new SignedNote(lie.ToText(), [ledger.Keys.SigningAt(DateTimeOffset.UnixEpoch)[0].Sign(lie.ToText())]).ToBytes());
        Should.Throw<ProofException>(() => ProofVerifier.VerifyConsistency(proof, shown, [ledger.Key], null)).Code.ShouldBe(FailureCodes.SplitView);
    }

    [Fact]
    public async Task Writer_and_verifier_agree_on_every_small_tree()
    {
        using Rynxs.Ledger.Keys.SigningKey key = Rynxs.Ledger.Keys.SigningKey.Generate("example.com/log");
        PinnedKey pinned = PinnedKey.Parse(key.ToString());
        var store = new Merkle.MemoryTreeStore();
        TreeWriter writer = TreeWriter.Begin(store);
        var checkpoints = new List<SignedNote>();
        for (int size = 1; size <= 40; size++)
        {
            await writer.AppendAsync(Merkle.TileTests.EventHash(size - 1), Cancelled);
            await writer.FlushAsync(Cancelled);
            string text = new TreeCheckpoint("example.com/log", size, writer.Frontier.Root()).ToText();
            checkpoints.Add(new SignedNote(text, [key.Sign(text)]));
            var reader = new TileReader(store, size);
            for (int index = 0; index < size; index++)
            {
                string proof = new TreeProof(index, await reader.InclusionAsync(index, Cancelled), checkpoints[^1]).ToString();
                ProofVerifier.VerifyHash(Encoding.UTF8.GetBytes(proof), Merkle.TileTests.EventHash(index), [pinned], null).Index.ShouldBe(index);
                Should.Throw<ProofException>(() => ProofVerifier.VerifyHash(Encoding.UTF8.GetBytes(proof), Merkle.TileTests.EventHash(index + 1), [pinned], null));
                var growth = new ConsistencyProof(index + 1, await reader.ConsistencyAsync(index + 1, Cancelled), checkpoints[^1]);
                SignedCheckpoint older = SignedCheckpoint.Parse(checkpoints[index].ToBytes());
                ProofVerifier.VerifyConsistency(Encoding.UTF8.GetBytes(growth.ToString()), older, [pinned], null).Size.ShouldBe(size);
            }
        }
    }

    /// <summary>Both ways in which the script can check a signature: Python's own package, and the openssl program where that is missing.</summary>
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task An_outside_tool_verifies_a_proof_and_refuses_what_is_not_one(bool withOpenssl)
    {
        string python = Pythons.FirstOrDefault(File.Exists) ?? "";
        Assert.SkipWhen(python.Length == 0, "not installed: python3 (./test installs it)");
        Assert.SkipUnless(!withOpenssl || File.Exists("/usr/bin/openssl"), "not installed: openssl (./test installs it)");
        string script = ScriptPath();
        if (withOpenssl)
        {
            // A package of that name that cannot be imported: what Python without it does. The script beside it is the same file.
            Directory.CreateDirectory(_directory.At("outside", "cryptography"));
            await File.WriteAllTextAsync(_directory.At("outside", "cryptography", "__init__.py"), "raise ImportError('not here')\n", Cancelled);
            File.Copy(script, _directory.At("outside", "verify_checkpoint.py"));
            script = _directory.At("outside", "verify_checkpoint.py");
        }

        (PinnedKey key, string proof, string record) = await ProveAsync(300, 123);
        string proofFile = _directory.At("record.tlog-proof");
        string recordFile = _directory.At("record.json");
        await File.WriteAllTextAsync(proofFile, proof, Cancelled);
        await File.WriteAllTextAsync(recordFile, record + "\n", Cancelled);

        (int exit, string output) = await ProcessRun.RunAsync(python, [script, key.Text, proofFile, recordFile], Cancelled);

        exit.ShouldBe(0, output);
        output.ShouldContain("valid: record 123 is among the");

        await File.WriteAllTextAsync(recordFile, record.Replace("\"exit_code\":122,", "\"exit_code\":121,", StringComparison.Ordinal), Cancelled);
        (await ProcessRun.RunAsync(python, [script, key.Text, proofFile, recordFile], Cancelled)).Exit.ShouldBe(1);
        await File.WriteAllTextAsync(recordFile, record, Cancelled);
        foreach (string part in Altered)
        {
            string changed = proof.Replace(part, part switch { "index 123" => "index 122", "\n302\n" => "\n303\n", _ => "— other" }, StringComparison.Ordinal);
            changed.ShouldNotBe(proof);
            await File.WriteAllTextAsync(proofFile, changed, Cancelled);
            (await ProcessRun.RunAsync(python, [script, key.Text, proofFile, recordFile], Cancelled)).Exit.ShouldBe(1, part);
        }
    }

    private static string ScriptPath()
    {
        string? directory = AppContext.BaseDirectory;
        while (directory is not null && !File.Exists(Path.Combine(directory, "docs", "formats", "verify_checkpoint.py")))
        {
            directory = Path.GetDirectoryName(directory);
        }

        return Path.Combine(directory.ShouldNotBeNull(), "docs", "formats", "verify_checkpoint.py");
    }

    private async Task<(PinnedKey Key, string Proof, string Record)> ProveAsync(int records, int seq)
    {
        await using PublishedLedger ledger = await PublishedLedger.OpenAsync(_directory.At("ledger"), _directory.At("keys"));
        await ledger.AppendAndPublishAsync(records);
        var tree = new FileTreeStore(_directory.At("ledger", "control"));
        SignedNote note = SignedNote.Parse(await File.ReadAllBytesAsync(_directory.At("ledger", "control", "tlog", "checkpoint"), Cancelled));
        IReadOnlyList<TreeHash> path = await new TileReader(tree, TreeCheckpoint.Parse(note.Text).Size).InclusionAsync(seq, Cancelled);
        return (ledger.Key, new TreeProof(seq, path, note).ToString(), File.ReadLines(_directory.At("ledger", "control", SegmentName.Of(0))).ElementAt(seq));
    }
}
