using System.Diagnostics;
using System.Globalization;
using Rynxs.Ledger.Checkpoints;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Tests.Anchors;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Crashes;

/// <summary>The writer dies, or its device fails, at any point: nothing acknowledged is lost and the chain goes on.</summary>
public sealed class CrashTests : IDisposable
{
    /// <summary>A soak begins anew after so many, or reading everything back each time would be all that it does.</summary>
    private const int KillsPerLedger = 100;

    private static readonly ChainOptions NoMirror = new();
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task Killed_at_random_moments_the_chain_keeps_every_acknowledged_record_and_goes_on()
    {
        // Segments of 4 KiB: about every tenth record begins a new one, so many of the kills hit a rotation.
        int kills = Soak.Enabled ? 1000 : 8;
        var random = new Random(42);
        var acknowledged = new Dictionary<long, string>();
        int nonEmpty = 0;
        string ledger = "";
        for (int kill = 0; kill < kills; kill++)
        {
            if (kill % KillsPerLedger == 0)
            {
                ledger = _directory.At($"ledger-{kill / KillsPerLedger}");
                acknowledged.Clear();
            }

            int before = acknowledged.Count;
            await RunAndKillAsync([ledger], random.Next(1, 120), line => Note(line, acknowledged));
            nonEmpty += acknowledged.Count > before ? 1 : 0;
            await ExpectAllAsync(ledger, acknowledged);
        }

        nonEmpty.ShouldBeGreaterThan(kills / 2, "the writer must have been killed in the middle of its work");
    }

    [Fact]
    public async Task Killed_while_it_publishes_the_log_keeps_every_checkpoint_and_goes_on()
    {
        int kills = Soak.Enabled ? 1000 : 4;
        var random = new Random(43);
        string ledger = "";
        PinnedKey? key = null;
        List<KeptCheckpoint> kept = [];
        for (int kill = 0; kill < kills; kill++)
        {
            if (kill % KillsPerLedger == 0)
            {
                ledger = _directory.At($"published-{kill / KillsPerLedger}");
                kept = [];
                await using PublishedLedger fresh = await PublishedLedger.OpenAsync(Path.Combine(ledger, "ledger"), Path.Combine(ledger, "keys"), TimeProvider.System);
                key = fresh.Key;
            }

            int seen = 0;
            await RunAndKillAsync([ledger, CrashWriter.Publish], random.Next(1, 25), line =>
            {
                byte[] note = Convert.FromBase64String(line);
                kept.Add(new KeptCheckpoint($"of kill {kill}, number {seen++}", SignedCheckpoint.Parse(note)));
            });
            LedgerVerification report = ChainVerifier.VerifyPath(
                Path.Combine(ledger, "ledger"),
                new VerificationOptions { Keys = [key ?? throw new InvalidOperationException("There is no key.")], Checkpoints = [.. kept.TakeLast(10)] }, Cancelled);
            report.Failure.ShouldBeNull($"after kill {kill}");
            kept.Count.ShouldBeGreaterThan(kill % KillsPerLedger, "each writer published before it was killed");

            // The original's checkpoint files, written beside: whole or absent.
            foreach ((_, string path) in new CheckpointDirectory(Path.Combine(ledger, "checkpoints")).List())
            {
                CheckpointDirectory.Read(path).EventHash.Length.ShouldBe(64);
            }
        }
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

    [Theory]
    [InlineData("pwrite64", "EIO", "segment", "acknowledged 9 refused 1")]
    [InlineData("pwrite64", "ENOSPC", "segment", "acknowledged 9 refused 1")]
    [InlineData("fsync", "EIO", "directory", "acknowledged 9 refused 1")]
    public async Task One_error_of_the_device_refuses_one_record_and_the_chain_goes_on(string call, string error, string where, string expected)
    {
        if (!File.Exists("/usr/bin/strace"))
        {
            Assert.Skip("strace is not installed: it makes the real system call fail");
        }

        // A segment a record. Of the directory the fifth sync, which makes the name of a segment durable.
        string path = where == "segment" ? _directory.At("ledger", "control", SegmentName.Of(3)) : _directory.At("ledger", "control");
        (int exit, string output) = await ProcessRun.RunAsync(
            "/usr/bin/strace",
            ["-f", "-qq", "-o", _directory.At("trace"), "-P", path, "-e", $"trace={call}", "-e", $"inject={call}:error={error}:when={(where == "segment" ? 1 : 9)}",
                Environment.ProcessPath ?? "", CrashWriter.Argument, _directory.At("ledger"), "once"],
            Cancelled);

        exit.ShouldBe(0, output);
        output.ShouldContain(expected);
        (await File.ReadAllTextAsync(_directory.At("trace"), Cancelled)).ShouldContain("INJECTED");
        ChainReport report = ChainVerifier.VerifyPath(_directory.At("ledger"), Cancelled).Chains[0];
        report.Failure.ShouldBeNull();
        report.Records.ShouldBe(10);
        await using FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = _directory.At("ledger") }, Cancelled);
        (await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled)).Head.Seq.ShouldBe(10);
        Directory.GetFiles(_directory.At("ledger", "control"), "*.aside-*").ShouldBeEmpty();
    }

    [Fact]
    public async Task A_write_that_is_cut_short_by_a_limit_of_the_file_size_is_cut_off_and_refused()
    {
        // The kernel writes what fits and refuses the rest. The runtime's own large mapping would not fit either, so it is switched off.
        (int exit, string output) = await ProcessRun.RunAsync(
            "/bin/bash",
            ["-c", "trap '' XFSZ; ulimit -f 24; export DOTNET_EnableWriteXorExecute=0; exec \"$@\"", "-", Environment.ProcessPath ?? "", CrashWriter.Argument,
                _directory.At("ledger"), CrashWriter.Large],
            Cancelled);

        exit.ShouldBe(0, output);
        output.ShouldContain("acknowledged 3 refused 7");
        ChainReport report = ChainVerifier.VerifyPath(_directory.At("ledger"), Cancelled).Chains[0];
        report.Failure.ShouldBeNull();
        report.TornTail.ShouldBeNull("what was written of the refused records is cut off");
        report.Records.ShouldBe(4);
    }

    [Fact]
    public async Task A_segment_that_a_fenced_writer_moved_aside_is_put_back_by_the_next_opening()
    {
        await using (FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = _directory, SegmentBytes = 1 }, Cancelled))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            await chain.AppendAsync(Entries.Numbered(1), Cancelled);
            await chain.AppendAsync(Entries.Numbered(2), Cancelled);
        }

        // The old writer took the new one's file for a stray one, moved it, began its own there, and was stopped for good.
        string segment = _directory.At("control", SegmentName.Of(2));
        File.Move(segment, segment + ".aside-0");
        await File.WriteAllBytesAsync(segment, [], Cancelled);

        await using FileLedger again = await OpenAsync();
        (await again.OpenAsync(ChainId.Control, NoMirror, Cancelled)).Head.Seq.ShouldBe(3);
        ChainVerifier.VerifyPath(_directory, Cancelled).Chains[0].Failure.ShouldBeNull();
    }

    [Fact]
    public void A_name_that_is_another_writers_by_now_is_given_back()
    {
        string path = _directory.At("name");
        File.WriteAllText(path, "");
        long stray = AsideFile.InodeOf(path);
        File.WriteAllText(path + ".new", "of the successor");
        File.Move(path + ".new", path, overwrite: true);

        AsideFile.Move(path, stray, isLost: () => false).ShouldBeFalse();
        File.ReadAllText(path).ShouldBe("of the successor");
        AsideFile.Move(path, AsideFile.InodeOf(path), isLost: () => true).ShouldBeFalse("the right was lost in the middle");
        File.ReadAllText(path).ShouldBe("of the successor");
        AsideFile.Move(path, AsideFile.InodeOf(path), isLost: () => false).ShouldBeTrue("the positive control");
        File.Exists(path).ShouldBeFalse();
    }

    /// <summary>Runs a writer until it has printed a number of lines, kills it, and gives out every line that it printed.</summary>
    private static async Task RunAndKillAsync(string[] writer, int afterLines, Action<string> read)
    {
        using var process = new Process
        {
            StartInfo = new ProcessStartInfo(Environment.ProcessPath ?? "", [CrashWriter.Argument, .. writer])
            {
                RedirectStandardOutput = true,
            },
        };
        process.Start();
        int seen = 0;
        while (await process.StandardOutput.ReadLineAsync(Cancelled) is { } line)
        {
            read(line);
            if (++seen == afterLines)
            {
                process.Kill(); // SIGKILL; what was printed before it is still read.
            }
        }

        await process.WaitForExitAsync(Cancelled);
        seen.ShouldBeGreaterThanOrEqualTo(afterLines);
    }

    private static void Note(string line, Dictionary<long, string> acknowledged)
    {
        if (line.Split(' ') is [var seq, { Length: 64 } hash])
        {
            acknowledged.Add(long.Parse(seq, CultureInfo.InvariantCulture), hash);
        }
    }

    private static async Task ExpectAllAsync(string directory, Dictionary<long, string> acknowledged)
    {
        await using (FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = directory }, Cancelled))
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

        ChainReport report = ChainVerifier.VerifyPath(directory, Cancelled).Chains[0];
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
