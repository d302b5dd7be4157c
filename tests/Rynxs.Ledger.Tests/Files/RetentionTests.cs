using System.Diagnostics;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Files;

/// <summary>What an opening trusts, manifests, and pruning.</summary>
public sealed class RetentionTests : IDisposable
{
    private static readonly ChainOptions NoMirror = new();
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Pruned_segments_verify_in_the_archive_and_what_remains_verifies_and_goes_on()
    {
        await FillAsync(40);
        string[] before = Segments("ledger");

        PrunedChain pruned = (await PruneAsync(new PruneBefore.Sequence(20))).Single();

        pruned.Segments.ShouldBeGreaterThan(3);
        pruned.FirstSeq.ShouldBeInRange(10, 20);
        Segments("archive").ShouldBe(before[..pruned.Segments]);
        ChainReport archive = Verify("archive");
        archive.Failure.ShouldBeNull();
        archive.Records.ShouldBe(pruned.FirstSeq);
        ChainReport rest = Verify("ledger");
        rest.Failure.ShouldBeNull();
        rest.FromSeq.ShouldBe(pruned.FirstSeq);

        await using (FileLedger ledger = await OpenAsync())
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            var records = new List<LedgerRecord>();
            await foreach (LedgerRecord record in chain.ReadAsync(pruned.FirstSeq, Cancelled))
            {
                records.Add(record);
            }

            records[0].PrevHash.ShouldBe(archive.HeadHash);
            LedgerRecord said = records.Single(record => record.Type == "LedgerPruned");
            said.Payload.GetProperty("before_seq").GetInt64().ShouldBe(pruned.FirstSeq);
            said.Payload.GetProperty("head_hash").GetString().ShouldBe(archive.HeadHash);
            chain.Epoch.ShouldBe(3);
        }

        (await PruneAsync(new PruneBefore.Sequence(30))).Single().Segments.ShouldBeGreaterThan(0);
        Verify("archive").Records.ShouldBe(Verify("ledger").FromSeq, "a second pruning goes on in the same archive");
        (await PruneAsync(new PruneBefore.Sequence(30))).Single().Segments.ShouldBe(0);
    }

    [Fact]
    public async Task F1_a_pruned_chain_whose_next_segment_is_gone_or_whose_manifest_was_changed_does_not_verify()
    {
        await FillAsync(40);
        await PruneAsync(new PruneBefore.Sequence(20));
        Verify("ledger").Failure.ShouldBeNull(); // Positive control.

        string manifest = _directory.At("ledger", "control", SegmentManifest.FileName);
        string text = await File.ReadAllTextAsync(manifest, Cancelled);
        string hash = SegmentManifest.Read(_directory.At("ledger", "control")).Pruned.ShouldNotBeNull().HeadHash;
        await File.WriteAllTextAsync(manifest, text.Replace($"\"head_hash\":\"{hash}\"}},\"segments\"", $"\"head_hash\":\"{new string('1', 64)}\"}},\"segments\"", StringComparison.Ordinal), Cancelled);
        Verify("ledger").Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.PrevHashMismatch);

        File.Delete(manifest);
        Verify("ledger").Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.SeqGap);
        await File.WriteAllTextAsync(manifest, text, Cancelled);
        File.Delete(_directory.At("ledger", "control", Segments("ledger")[0]));
        Verify("ledger").Failure.ShouldNotBeNull().Code.ShouldBe(FailureCodes.SeqGap);
    }

    [Fact]
    public async Task A_pruning_that_was_cut_short_before_the_removal_is_finished_by_the_next()
    {
        await FillAsync(40);
        Directory.CreateDirectory(_directory.At("kept"));
        foreach (string file in Segments("ledger"))
        {
            File.Copy(_directory.At("ledger", "control", file), _directory.At("kept", file));
        }

        PrunedChain pruned = (await PruneAsync(new PruneBefore.Sequence(20))).Single();
        foreach (string file in Segments("archive"))
        {
            File.Copy(_directory.At("kept", file), _directory.At("ledger", "control", file)); // As if the process had ended here.
        }

        await using (FileLedger ledger = await OpenAsync())
        {
            (await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled)).Head.Seq.ShouldBeGreaterThan(40);
        }

        await PruneAsync(new PruneBefore.Sequence(1));
        Segments("ledger")[0].ShouldBe(SegmentName.Of(pruned.FirstSeq));
        Verify("ledger").Failure.ShouldBeNull();
    }

    [Fact]
    public async Task Damage_is_not_pruned_away()
    {
        await FillAsync(40);
        string path = _directory.At("ledger", "control", Segments("ledger")[1]);
        string text = await File.ReadAllTextAsync(path, Cancelled);
        await File.WriteAllTextAsync(path, text.Replace("\"status\":\"ok\"", "\"status\":\"no\"", StringComparison.Ordinal), Cancelled);

        await Should.ThrowAsync<LedgerCorruptException>(async () => await PruneAsync(new PruneBefore.Sequence(20)));

        Segments("ledger").Length.ShouldBeGreaterThan(3);
    }

    [Fact]
    public async Task A_missing_last_sealed_segment_is_named_by_the_manifest()
    {
        await FillAsync(20);
        string[] files = Segments("ledger");
        File.Delete(_directory.At("ledger", "control", files[^1]));
        File.Delete(_directory.At("ledger", "control", files[^2]));

        await using FileLedger ledger = await OpenAsync();
        LedgerCorruptException refused = await Should.ThrowAsync<LedgerCorruptException>(async () => await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled));
        refused.Message.ShouldContain(files[^2]);
    }

    [Fact]
    public async Task An_opening_reads_what_changed_and_nothing_else()
    {
        await FillAsync(40);
        string first = _directory.At("ledger", "control", Segments("ledger")[0]);
        byte[] bytes = await File.ReadAllBytesAsync(first, Cancelled);
        bytes[300] ^= 1;

        // Positive control: a changed file is read, whoever changed it.
        await File.WriteAllBytesAsync(first, bytes, Cancelled);
        await using (FileLedger ledger = await OpenAsync())
        {
            await Should.ThrowAsync<LedgerCorruptException>(async () => await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled));
        }

        bytes[300] ^= 1;
        await File.WriteAllBytesAsync(first, bytes, Cancelled);
        await using (FileLedger ledger = await OpenAsync())
        {
            await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        }

        // Unreadable, and yet opened: nobody looked. (Renamed away it would be missed: its identity is asked for.)
        var verified = VerifiedFiles.Read(_directory.At("ledger", "control"));
        verified.Count.ShouldBe(Segments("ledger").Length);
        await using (FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = _directory.At("ledger"), VerifyEverythingOnOpen = true }, Cancelled))
        {
            await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        }
    }

    [Fact]
    public async Task A_writer_that_was_stopped_while_another_took_over_is_fenced_when_it_goes_on()
    {
        using var process = new Process
        {
            StartInfo = new ProcessStartInfo(Environment.ProcessPath ?? "", [Crashes.CrashWriter.Argument, _directory.At("ledger")]) { RedirectStandardOutput = true, RedirectStandardError = true },
        };
        process.Start();
        var acknowledged = new Dictionary<long, string>();
        for (int seen = 0; seen < 20; seen++)
        {
            string[] parts = (await process.StandardOutput.ReadLineAsync(Cancelled)).ShouldNotBeNull().Split(' ');
            acknowledged.Add(long.Parse(parts[0], System.Globalization.CultureInfo.InvariantCulture), parts[1]);
        }

        await SignalAsync(process, "STOP");
        ILedgerChain chain;
        await using (FileLedger second = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = _directory.At("ledger"), TakeOver = true }, Cancelled))
        {
            chain = await second.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            chain.Epoch.ShouldBe(2);
            await SignalAsync(process, "CONT");
            while (await process.StandardOutput.ReadLineAsync(Cancelled) is { } line)
            {
                // Answered before it was stopped, and read only now; or the first writer found out and ended.
                string[] parts = line.Split(' ');
                if (parts is [_, { Length: 64 }])
                {
                    acknowledged.Add(long.Parse(parts[0], System.Globalization.CultureInfo.InvariantCulture), parts[1]);
                }
            }

            await process.WaitForExitAsync(Cancelled);
            process.ExitCode.ShouldNotBe(0);
            (await process.StandardError.ReadToEndAsync(Cancelled)).ShouldContain(nameof(LedgerFencedException));
            await chain.AppendAsync(Entries.Numbered(1), Cancelled);
            await foreach (LedgerRecord record in chain.ReadAsync(0, Cancelled))
            {
                if (acknowledged.Remove(record.Seq, out string? hash))
                {
                    record.EventHash.ShouldBe(hash);
                }
            }
        }

        acknowledged.ShouldBeEmpty("every acknowledged record is in the chain that the second writer has");
        Verify("ledger").Failure.ShouldBeNull();
    }

    private static async Task SignalAsync(Process process, string signal) =>
        (await ProcessRun.RunAsync("/bin/kill", ["-" + signal, $"{process.Id}"], Cancelled)).Exit.ShouldBe(0);

    private async Task FillAsync(int records)
    {
        await using FileLedger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        for (int number = 0; number < records; number++)
        {
            await chain.AppendAsync(Entries.Numbered(number), Cancelled);
        }
    }

    private Task<FileLedger> OpenAsync() => FileLedger.OpenAsync(new FileLedgerOptions { Directory = _directory.At("ledger"), SegmentBytes = 1500 }, Cancelled);

    private Task<IReadOnlyList<PrunedChain>> PruneAsync(PruneBefore before) =>
        LedgerPruning.PruneAsync(new FileLedgerOptions { Directory = _directory.At("ledger"), SegmentBytes = 1500 }, before, _directory.At("archive"), Cancelled);

    private string[] Segments(string ledger) => [.. SegmentName.List(_directory.At(ledger, "control")).Select(segment => Path.GetFileName(segment.Path))];

    private ChainReport Verify(string ledger) => ChainVerifier.VerifyPath(_directory.At(ledger), Cancelled).Chains.Single();
}
