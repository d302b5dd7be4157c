using System.Diagnostics;
using System.Globalization;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Crashes;

/// <summary>The writer dies, or its device fails, at any point: nothing acknowledged is lost and the chain goes on.</summary>
public sealed class CrashTests : IDisposable
{
    private static readonly ChainOptions NoMirror = new();
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Killed_at_random_moments_the_chain_keeps_every_acknowledged_record_and_goes_on()
    {
        int kills = Soak.Enabled ? 300 : 8;
        var random = new Random(42);
        var acknowledged = new Dictionary<long, string>();
        int nonEmpty = 0;
        for (int kill = 0; kill < kills; kill++)
        {
            int before = acknowledged.Count;
            await RunAndKillAsync(random.Next(1, 120), acknowledged);
            nonEmpty += acknowledged.Count > before ? 1 : 0;
            await ExpectAllAsync(acknowledged);
        }

        nonEmpty.ShouldBeGreaterThan(kills / 2, "the writer must have been killed in the middle of its work");
    }

    [Fact]
    public async Task A_last_line_torn_at_any_byte_is_set_aside_and_reported()
    {
        await using (FileLedger ledger = await OpenAsync())
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            await chain.AppendAsync(Entries.Numbered(1), Cancelled);
            await chain.AppendAsync(Entries.Numbered(2), Cancelled);
        }

        string path = _directory.At("control", SegmentName.Of(0));
        byte[] whole = await File.ReadAllBytesAsync(path, Cancelled);
        int lastLine = whole.AsSpan(0, whole.Length - 1).LastIndexOf((byte)'\n') + 1;
        for (int length = lastLine + 1; length < whole.Length; length += Soak.Enabled ? 1 : 5)
        {
            await File.WriteAllBytesAsync(path, whole[..length], Cancelled);
            ChainVerifier.VerifyPath(_directory, Cancelled).Chains[0].TornTail.ShouldNotBeNull().Bytes.ShouldBe(length - lastLine);

            await using (FileLedger ledger = await OpenAsync())
            {
                ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
                chain.Head.Seq.ShouldBe(2);
                LedgerRecord opened = await LastAsync(chain);
                opened.Payload.GetProperty("torn_bytes").GetInt64().ShouldBe(length - lastLine);
                string hash = opened.Payload.GetProperty("torn_sha256").GetString() ?? "";
                byte[] aside = await File.ReadAllBytesAsync(
                    Directory.GetFiles(_directory.At("control", "torn"), $"*-{hash[..16]}.bin").Single(), Cancelled);
                aside.ShouldBe(whole[lastLine..length]);
            }

            ChainVerifier.VerifyPath(_directory, Cancelled).Chains[0].Records.ShouldBe(3);
        }
    }

    [Fact]
    public async Task A_whole_last_line_is_kept()
    {
        // Positive control of the test above: with its newline nothing is set aside.
        await using (FileLedger ledger = await OpenAsync())
        {
            await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        }

        await using FileLedger again = await OpenAsync();
        ILedgerChain chain = await again.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        (await LastAsync(chain)).Payload.TryGetProperty("torn_bytes", out _).ShouldBeFalse();
        Directory.Exists(_directory.At("control", "torn")).ShouldBeFalse();
    }

    [Fact]
    public async Task On_a_full_disk_appends_are_refused_and_go_on_when_there_is_room_again()
    {
        await using var disk = await SmallDisk.MountAsync(_directory.At("disk"), "1m", Cancelled);
        var acknowledged = new Dictionary<long, string>();
        await using (FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = disk.Path }, Cancelled))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            string ballast = Path.Combine(disk.Path, "ballast");
            await File.WriteAllBytesAsync(ballast, new byte[400 * 1024], Cancelled);
            LedgerUnavailableException? refused = null;
            while (refused is null)
            {
                try
                {
                    AppendedRecord appended = await chain.AppendAsync(Entries.WithText(new string('x', 5000)), Cancelled);
                    acknowledged.Add(appended.Seq, appended.EventHash);
                }
                catch (LedgerUnavailableException exception)
                {
                    refused = exception;
                }
            }

            acknowledged.Count.ShouldBeGreaterThan(0);
            chain.Head.Seq.ShouldBe(acknowledged.Keys.Max());
            ChainReport report = ChainVerifier.VerifyPath(disk.Path, Cancelled).Chains[0];
            report.Valid.ShouldBeTrue();
            report.TornTail.ShouldBeNull("the part that was written is cut off");
            await Should.ThrowAsync<LedgerUnavailableException>(
                async () => await chain.AppendAsync(Entries.WithText(new string('x', 5000)), Cancelled));

            File.Delete(ballast);
            AppendedRecord again = await chain.AppendAsync(Entries.Numbered(1), Cancelled);
            again.Seq.ShouldBe(acknowledged.Keys.Max() + 1);
            acknowledged.Add(again.Seq, again.EventHash);
        }

        await using FileLedger reopened = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = disk.Path }, Cancelled);
        ILedgerChain chain2 = await reopened.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        await foreach (LedgerRecord record in chain2.ReadAsync(0, Cancelled))
        {
            if (acknowledged.Remove(record.Seq, out string? hash))
            {
                record.EventHash.ShouldBe(hash);
            }
        }

        acknowledged.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_full_disk_under_the_mirror_alone_stops_no_append_and_the_mirror_catches_up()
    {
        await using var disk = await SmallDisk.MountAsync(_directory.At("disk"), "1m", Cancelled);
        string mirror = Path.Combine(disk.Path, "audit.jsonl");
        string ballast = Path.Combine(disk.Path, "ballast");
        await using (FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = _directory.At("ledger") }, Cancelled))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions { MirrorPath = mirror }, Cancelled);
            await File.WriteAllBytesAsync(ballast, new byte[900 * 1024], Cancelled);
            for (int number = 0; number < 10; number++)
            {
                await chain.AppendAsync(Entries.WithText(new string('x', 5000)), Cancelled);
            }

            await ledger.DisposeAsync();
            ledger.MirrorFailures.ShouldBeGreaterThan(0);
        }

        ChainVerifier.VerifyPath(_directory.At("ledger"), Cancelled).Chains[0].Records.ShouldBe(11);
        ChainVerifier.VerifyPath(mirror, Cancelled).Records.ShouldBeLessThan(11);
        File.Delete(ballast);
        await using (FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = _directory.At("ledger") }, Cancelled))
        {
            await ledger.OpenAsync(ChainId.Control, new ChainOptions { MirrorPath = mirror }, Cancelled);
        }

        ChainVerifier.VerifyPath(mirror, Cancelled).Records.ShouldBe(12);
    }

    [Fact]
    public async Task A_read_only_store_is_refused_at_opening()
    {
        await using var disk = await SmallDisk.MountAsync(_directory.At("disk"), "1m", Cancelled);
        await using (FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = disk.Path }, Cancelled))
        {
            await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        }

        await disk.MakeReadOnlyAsync(Cancelled);

        await Should.ThrowAsync<LedgerUnavailableException>(
            () => FileLedger.OpenAsync(new FileLedgerOptions { Directory = disk.Path }, Cancelled));
        ChainVerifier.VerifyPath(disk.Path, Cancelled).Valid.ShouldBeTrue();
    }

    [Fact]
    public async Task After_a_failed_sync_nothing_is_acknowledged_until_the_chain_is_opened_again()
    {
        if (!File.Exists("/usr/bin/strace"))
        {
            Assert.Skip("strace is not installed: it makes the real fdatasync fail");
        }

        // Each record has a segment of its own, so the real sync of the record with sequence 3 can be picked by its path.
        (int exit, string output) = await ProcessRun.RunAsync(
            "/usr/bin/strace",
            ["-f", "-qq", "-o", _directory.At("trace"), "-P", _directory.At("ledger", "control", SegmentName.Of(3)),
                "-e", "trace=fdatasync", "-e", "inject=fdatasync:error=EIO", Environment.ProcessPath ?? "", CrashWriter.Argument, _directory.At("ledger"), "once"],
            Cancelled);

        exit.ShouldBe(0, output);
        output.ShouldContain("acknowledged 2 refused 8");
        output.ShouldContain("until it is opened again");
        ChainReport report = ChainVerifier.VerifyPath(_directory.At("ledger"), Cancelled).Chains[0];
        report.Valid.ShouldBeTrue();
        report.Records.ShouldBe(3, "what was not acknowledged is cut off again");
        await using FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = _directory.At("ledger") }, Cancelled);
        (await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled)).Head.Seq.ShouldBe(3);
    }

    private async Task RunAndKillAsync(int afterRecords, Dictionary<long, string> acknowledged)
    {
        using var process = new Process
        {
            StartInfo = new ProcessStartInfo(Environment.ProcessPath ?? "", [CrashWriter.Argument, _directory])
            {
                RedirectStandardOutput = true,
            },
        };
        process.Start();
        int seen = 0;
        while (await process.StandardOutput.ReadLineAsync(Cancelled) is { } line)
        {
            string[] parts = line.Split(' ');
            if (parts is [_, { Length: 64 }])
            {
                acknowledged.Add(long.Parse(parts[0], CultureInfo.InvariantCulture), parts[1]);
            }

            if (++seen == afterRecords)
            {
                process.Kill(); // SIGKILL; what was printed before it is still read.
            }
        }

        await process.WaitForExitAsync(Cancelled);
        seen.ShouldBeGreaterThanOrEqualTo(afterRecords);
    }

    private async Task ExpectAllAsync(Dictionary<long, string> acknowledged)
    {
        await using (FileLedger ledger = await OpenAsync())
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            var stored = new Dictionary<long, string>();
            await foreach (LedgerRecord record in chain.ReadAsync(0, Cancelled))
            {
                stored.Add(record.Seq, record.EventHash);
                if (record.Payload.TryGetProperty("result", out var result))
                {
                    string commitment = result.GetProperty("commitment").GetString() ?? "";
                    (await chain.ReadBlobAsync(new Rynxs.Ledger.Blobs.Commitment(commitment), Cancelled)).ShouldNotBeNull();
                }
            }

            acknowledged.Where(pair => stored.GetValueOrDefault(pair.Key) != pair.Value).ShouldBeEmpty();
        }

        ChainReport report = ChainVerifier.VerifyPath(_directory, Cancelled).Chains[0];
        report.Failure.ShouldBeNull();
        report.TornTail.ShouldBeNull();
    }

    private static async Task<LedgerRecord> LastAsync(ILedgerChain chain)
    {
        await foreach (LedgerRecord record in chain.ReadAsync(chain.Head.Seq, Cancelled))
        {
            return record;
        }

        throw new InvalidOperationException("The chain is empty.");
    }

    private Task<FileLedger> OpenAsync() => FileLedger.OpenAsync(new FileLedgerOptions { Directory = _directory }, Cancelled);
}
