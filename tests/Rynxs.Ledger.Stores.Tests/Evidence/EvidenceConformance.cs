using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using Rynxs.Cli.Stores;
using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Replay;
using Rynxs.Ledger.Stores.Copying;
using Rynxs.Ledger.Tests;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Stores.Tests.Evidence;

/// <summary>
/// What an auditor finds in every store: trees, checkpoints, proofs, replay; and what an attacker finds who may write all of the store, but
/// lacks the log's key and what the auditor kept. Each attack begins from a ledger that verifies.
/// </summary>
public abstract class EvidenceConformance : IAsyncLifetime
{
    private const string Origin = "rynxs.test/log";
    private readonly TemporaryDirectory _directory = new();

    private protected TemporaryDirectory Scratch => _directory;

    protected static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public virtual ValueTask InitializeAsync() => ValueTask.CompletedTask;

    public ValueTask DisposeAsync()
    {
        _directory.Dispose();
        GC.SuppressFinalize(this);
        return ValueTask.CompletedTask;
    }

    /// <summary>Where the test's ledger lies.</summary>
    protected abstract LedgerLocation Location { get; }

    /// <summary>Replaces every record of the control chain by other lines, as somebody does who may write everything.</summary>
    protected abstract Task ForgeAsync(IReadOnlyList<string> lines);

    /// <summary>Changes a byte of a stored blob of the control chain's tree, or removes it.</summary>
    protected abstract Task DamageTreeAsync(string path, bool remove);

    /// <summary>Keeps everything that is stored.</summary>
    protected abstract Task SnapshotAsync();

    /// <summary>Puts back what was kept, and nothing else.</summary>
    protected abstract Task RestoreAsync();

    [Fact]
    public async Task A_published_ledger_verifies_with_its_tree_and_goes_on_after_reopening()
    {
        SignedCheckpoint first = await PublishAsync(300);
        SignedCheckpoint second = await PublishAsync(20);

        LedgerVerification report = await VerifyAsync(first);

        report.Failure.ShouldBeNull();
        ChainReport control = report.Chains.Single(chain => chain.Chain == "control");
        control.TilesChecked.ShouldBeGreaterThan(3);
        control.Checkpoint.ShouldNotBeNull().Size.ShouldBe(second.Size);
        second.Size.ShouldBe(first.Size + 21);
    }

    [Fact]
    public async Task A_proof_made_from_the_stored_tiles_verifies_without_the_ledger()
    {
        await PublishAsync(300);
        await using LedgerReader reader = Location.OpenReader();
        ITreeStore tree = reader.OpenTree(ChainId.Control);
        SignedNote note = SignedNote.Parse((await tree.TryReadAsync(TilePath.Checkpoint, SignedNote.MaxBytes, Cancelled)).ShouldNotBeNull());
        TreeCheckpoint checkpoint = TreeCheckpoint.Parse(note.Text);
        string line = (await LinesAsync())[17];

        byte[] proof = Encoding.UTF8.GetBytes(new TreeProof(17, await new TileReader(tree, checkpoint.Size).InclusionAsync(17, Cancelled), note).ToString());

        ProofVerifier.VerifyRecord(proof, Encoding.UTF8.GetBytes(line), [Key()], null).Index.ShouldBe(17);
        Should.Throw<ProofException>(() => ProofVerifier.VerifyRecord(proof, Encoding.UTF8.GetBytes(line.Replace("call-", "cell-", StringComparison.Ordinal)), [Key()], null));
    }

    [Fact]
    public async Task A_copy_takes_the_tree_along_and_is_bound_by_what_was_signed()
    {
        SignedCheckpoint kept = await PublishAsync(300);
        var copy = new LedgerLocation.Files(_directory.At("copied"));
        await using (LedgerReader reader = Location.OpenReader())
        await using (ILedger target = await copy.OpenLedgerAsync(Cancelled))
        {
            await LedgerCopy.RunAsync(reader, target, _ => { }, Cancelled);
        }

        LedgerVerification report = ChainVerifier.VerifyPath(
            copy.Directory, new VerificationOptions { Keys = [Key()], Checkpoints = [new KeptCheckpoint("kept", kept)] }, Cancelled);
        report.Failure.ShouldBeNull();
        report.Chains.Single().TilesChecked.ShouldBeGreaterThan(3);
    }

    [Fact]
    public async Task Replay_and_forensics_read_the_store_as_they_read_files()
    {
        await PublishAsync(30);
        IReadOnlyList<string> lines = await LinesAsync();
        string file = _directory.At("copy.jsonl");
        await File.WriteAllLinesAsync(file, lines, Cancelled);

        LogSource stored = (await Location.OpenLogsAsync(Cancelled)).Single(source => source.Chain == "control");
        ReplayResult result = LogReplay.Run(stored, new ReplayEnd.Head(), observe: null, Cancelled);
        ReplayResult expected = LogReplay.Run(LogSource.Open(file), new ReplayEnd.Head(), observe: null, Cancelled);

        result.Last.ShouldBe(expected.Last);
        (result.Universe.Hash(), result.Rynxs?.Hash()).ShouldBe((expected.Universe.Hash(), expected.Rynxs?.Hash()));
        result.Records.ShouldBe(lines.Count);
        Forensics.ForensicReport found = Forensics.ForensicAnalysis.Run(await Location.OpenLogsAsync(Cancelled), new Forensics.ForensicOptions(), observeControl: null, Cancelled);
        Forensics.ForensicReport wanted = Forensics.ForensicAnalysis.Run(LogSource.OpenAll(file), new Forensics.ForensicOptions(), observeControl: null, Cancelled);
        found.Chains.Single().LastHash.ShouldBe(wanted.Chains.Single().LastHash);
        found.Findings.Select(finding => (finding.Code, finding.FirstSeq)).ShouldBe(wanted.Findings.Select(finding => (finding.Code, finding.FirstSeq)));
        found.Findings.Count.ShouldBeGreaterThan(20, "outcomes that nothing announced");
        await ForgeAsync([.. lines.Take(9), .. lines.Skip(10)]);
        Should.Throw<LedgerCorruptException>(() => LogReplay.Run(stored, new ReplayEnd.Head(), observe: null, Cancelled)).Code.ShouldBe("sequence");
    }

    [Theory]
    [InlineData("altered", "event_hash_mismatch")]
    [InlineData("deleted", "seq_gap")]
    [InlineData("reordered", "seq_gap")]
    [InlineData("repeated", "seq_repeated")]
    [InlineData("truncated", "tail_truncated")]
    [InlineData("rebuilt", "checkpoint_mismatch tile_mismatch")]
    public async Task F1_an_attack_on_the_records_is_named(string attack, string codes)
    {
        await PublishAsync(20);
        (await VerifyAsync()).Failure.ShouldBeNull("the positive control");
        List<string> lines = [.. await LinesAsync()];
        string altered = lines[7].Replace("call-", "cell-", StringComparison.Ordinal);
        altered.ShouldNotBe(lines[7]);
        await ForgeAsync(attack switch
        {
            "altered" => [.. lines[..7], altered, .. lines[8..]],
            "deleted" => [.. lines[..7], .. lines[8..]],
            "reordered" => [.. lines[..7], lines[8], lines[7], .. lines[9..]],
            "repeated" => [.. lines[..8], lines[7], .. lines[8..]],
            "truncated" => lines[..^3],
            _ => Rebuilt([.. lines[..7], altered, .. lines[8..]]),
        });

        codes.Split(' ').ShouldContain((await VerifyAsync()).Failure.ShouldNotBeNull().Code);
    }

    [Fact]
    public async Task F1_an_old_copy_put_back_shows_against_a_kept_checkpoint_and_only_then()
    {
        await PublishAsync(10);
        await SnapshotAsync();
        SignedCheckpoint kept = await PublishAsync(10);
        (await VerifyAsync(kept)).Failure.ShouldBeNull("the positive control");

        await RestoreAsync();

        (await VerifyAsync()).Failure.ShouldBeNull("an old copy is whole in itself");
        (await VerifyAsync(kept)).Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.RolledBack);
    }

    [Fact]
    public async Task F1_two_histories_under_one_key_are_a_split_view()
    {
        await PublishAsync(10);
        await SnapshotAsync();
        SignedCheckpoint kept = await PublishAsync(10);
        await RestoreAsync();
        await PublishAsync(30);

        (await VerifyAsync()).Failure.ShouldBeNull("each view is whole in itself");
        (await VerifyAsync(kept)).Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.SplitView);
    }

    [Fact]
    public async Task F1_the_publisher_refuses_to_sign_a_history_that_was_rebuilt()
    {
        await PublishAsync(10);
        List<string> lines = [.. await LinesAsync()];
        lines[5] = lines[5].Replace("call-", "cell-", StringComparison.Ordinal);
        await ForgeAsync(Rebuilt(lines));

        await Should.ThrowAsync<ChainRolledBackException>(() => PublishAsync(1));
    }

    [Fact]
    public async Task F1_a_changed_or_missing_tile_is_named_and_made_anew_by_the_publisher()
    {
        await PublishAsync(300);
        await DamageTreeAsync("tile/0/000", remove: false);
        (await VerifyAsync()).Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.TileMismatch);
        await DamageTreeAsync("tile/0/000", remove: true);
        (await VerifyAsync()).Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.TileMissing);

        await DamageTreeAsync("tile/1/000.p/1", remove: true);
        await PublishAsync(1);

        (await VerifyAsync()).Failure.ShouldBeNull();
    }

    [Fact]
    public async Task F4_hostile_text_stays_inside_its_record()
    {
        await using (ILedger ledger = await Location.OpenLedgerAsync(Cancelled))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), Cancelled);
            await chain.AppendAsync(Entries.WithText("\"}\n{\"event\":{}}\n\u001b[2J\u2028\0'; DROP TABLE records; --"), Cancelled);
        }

        (await LinesAsync()).Count.ShouldBe(2);
        (await VerifyAsync(withKey: false)).Failure.ShouldBeNull();
    }

    [Fact]
    public async Task F6_a_text_is_a_commitment_and_the_records_verify_without_it()
    {
        SideBlob blob = SideBlob.Create("the patient's name is Ada");
        await using (ILedger ledger = await Location.OpenLedgerAsync(Cancelled))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), Cancelled);
            await chain.AppendAsync(Entries.Numbered(1) with { Blobs = [blob] }, Cancelled);
        }

        (await VerifyAsync(withKey: false)).Chains[0].BlobsVerified.ShouldBe(1);
        IReadOnlyList<string> lines = await LinesAsync();
        lines.ShouldAllBe(line => !line.Contains("Ada", StringComparison.Ordinal));

        // The lines alone, as an archive without its side blobs has them.
        string file = _directory.At("lines.jsonl");
        await File.WriteAllLinesAsync(file, lines, Cancelled);
        ChainVerifier.VerifyPath(file, Cancelled).Failure.ShouldBeNull();
    }

    /// <summary>Opens the ledger, appends, publishes, closes; the checkpoint.</summary>
    protected async Task<SignedCheckpoint> PublishAsync(int records)
    {
        string directory = _directory.At("keys");
        using KeyDirectory keys = KeyDirectory.Exists(directory)
            ? KeyDirectory.Open(directory)
            : KeyDirectory.Create(directory, Origin, NoteSignatureType.Ed25519, TimeProvider.System);
        ILedger inner = await Location.OpenLedgerAsync(Cancelled);
        await using var ledger = new AnchoredLedger(inner);
        ILedgerChain control = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), Cancelled);
        TransparencyLog log = await TransparencyLog.OpenAsync(
            new TransparencyLogOptions { Ledger = ledger, Control = control, Trees = inner.ShouldBeAssignableTo<ITreeHost>().ShouldNotBeNull().TreeOf, Keys = keys }, Cancelled);
        await Task.WhenAll(Enumerable.Range(0, records).Select(number => control.AppendAsync(Entries.Numbered(number), Cancelled).AsTask()));
        (await log.PublishAsync(Cancelled)).Alarms.ShouldBeEmpty();
        byte[]? note = await ((ITreeHost)inner).TreeOf(ChainId.Control).TryReadAsync(TilePath.Checkpoint, SignedNote.MaxBytes, Cancelled);
        return SignedCheckpoint.Parse(note.ShouldNotBeNull());
    }

    private protected PinnedKey Key()
    {
        using KeyDirectory keys = KeyDirectory.Open(_directory.At("keys"));
        return PinnedKey.Parse(keys.Keys[^1].PublicKey.ToString());
    }

    /// <summary>As <c>rynxs ledger verify LOCATION --key …</c>.</summary>
    private async Task<LedgerVerification> VerifyAsync(SignedCheckpoint? kept = null, bool withKey = true)
    {
        await using LedgerReader reader = Location.OpenReader();
        return await ChainVerifier.VerifyAsync(
            new StoreLedgerSource(Location.Name, reader),
            new VerificationOptions { Keys = withKey ? [Key()] : [], Checkpoints = kept is null ? [] : [new KeptCheckpoint("kept", kept)] },
            Cancelled);
    }

    private protected async Task<IReadOnlyList<string>> LinesAsync()
    {
        var text = new StringBuilder();
        await using LedgerReader reader = Location.OpenReader();
        await foreach (RawLines lines in reader.ReadLinesAsync(ChainId.Control, 0, head: null, Cancelled))
        {
            text.Append(Encoding.UTF8.GetString(lines.Lines.Span));
        }

        return text.ToString().TrimEnd('\n').Split('\n');
    }

    /// <summary>The same events with every hash made right again.</summary>
    private protected static List<string> Rebuilt(IReadOnlyList<string> lines)
    {
        var rebuilt = new List<string>();
        string previous = new('0', 64);
        foreach (string line in lines)
        {
            string content = line["{\"event\":".Length..line.LastIndexOf(",\"event_hash\":", StringComparison.Ordinal)];
            string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(previous + content)));
            rebuilt.Add(string.Create(CultureInfo.InvariantCulture, $"{{\"event\":{content},\"event_hash\":\"{hash}\",\"prev_hash\":\"{previous}\"}}"));
            previous = hash;
        }

        return rebuilt;
    }
}
