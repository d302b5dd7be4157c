namespace Rynxs.EndToEndTests.Evidence;

/// <summary>What each <c>rynxs ledger</c> command says to input that is none: its exit code, one line that names the matter, never a stack trace.</summary>
public sealed class BadInputTests : IAsyncLifetime
{
    private static readonly string[] Readers = ["verify PATH", "cat PATH", "tail PATH", "inspect PATH", "replay PATH", "verify-pointers PATH", "audit-report PATH", "export PATH --to -"];

    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    /// <summary>Command (PATH is replaced), the input, and the exit codes that are right for it.</summary>
    public static TheoryData<string, string, int[]> Cases
    {
        get
        {
            var cases = new TheoryData<string, string, int[]>();
            foreach (string reader in Readers)
            {
                cases.Add(reader, "missing", [1]);
                cases.Add(reader, "garbage", [1, 2]);
                cases.Add(reader, "binary", [1, 2]);
                cases.Add(reader, "truncated", reader.StartsWith("verify PATH", StringComparison.Ordinal) ? [0] : [0, 1, 2]);
                cases.Add(reader, "empty-directory", reader == "verify PATH" ? [2] : [1]); // Asked for a verdict, and there is nothing to find valid.
                cases.Add(reader, "empty-file", [0]); // A log without records, as a new one is.
            }

            foreach (string writer in (string[])["publish PATH --keys KEYS", "redact PATH --record 1 --reason x", "prove PATH --seq 1", "consistency PATH --old OLD"])
            {
                foreach (string input in (string[])["missing", "garbage", "empty-directory"])
                {
                    cases.Add(writer, input, writer.StartsWith("consistency", StringComparison.Ordinal) ? [1, 64] : [1]);
                }
            }

            cases.Add("publish PATH --keys KEYS", "live", [1]);
            cases.Add("redact PATH --record 1 --reason x", "live", [1]);
            cases.Add("verify PATH", "live", [0]);
            cases.Add("checkpoint verify PATH", "missing", [1]);
            cases.Add("checkpoint verify PATH", "garbage", [1, 2]);
            cases.Add("verify-proof PATH --key KEY --event-hash HASH", "missing", [1]);
            cases.Add("verify-proof PATH --key KEY --event-hash HASH", "garbage", [2]);
            cases.Add("verify-proof PATH --key KEY --event-hash HASH", "binary", [2]);
            cases.Add("verify-consistency PATH --key KEY --old OLD", "garbage", [1, 2, 64]);
            cases.Add("keys list --keys PATH", "missing", [1]);
            cases.Add("keys rotate --keys PATH", "empty-directory", [1]);
            cases.Add("keys public --keys PATH", "garbage", [1]);
            cases.Add("verify LEDGER --key @PATH", "missing", [1]);
            cases.Add("verify LEDGER --key @PATH", "garbage", [64]);
            cases.Add("verify LEDGER --checkpoint PATH", "garbage", [64]);
            cases.Add("verify LEDGER --witness-policy PATH", "garbage", [64]);
            cases.Add("copy PATH OUT", "missing", [1]);
            cases.Add("prune PATH --archive OUT --before 5", "missing", [1]);
            cases.Add("serve --store PATH/x/y", "garbage", [1]);
            return cases;
        }
    }

    public async ValueTask InitializeAsync()
    {
        await LedgerFiles.AppendAsync(_directory.At("ledger"), 3);
        await File.WriteAllTextAsync(_directory.File("garbage"), "this is no ledger\n{]\n", Cancelled);
        await File.WriteAllBytesAsync(_directory.File("binary"), [.. Enumerable.Range(0, 5000).Select(number => (byte)(number * 7))], Cancelled);
        string record = Directory.GetFiles(_directory.At("ledger", "control"), "records-*.jsonl").Single();
        byte[] whole = await File.ReadAllBytesAsync(record, Cancelled);
        await File.WriteAllBytesAsync(_directory.File("truncated"), whole[..^20], Cancelled);
        Directory.CreateDirectory(_directory.At("empty-directory"));
        await File.WriteAllBytesAsync(_directory.File("empty-file"), [], Cancelled);
        LedgerFiles.Copy(_directory.At("ledger"), _directory.At("live"));
    }

    public ValueTask DisposeAsync()
    {
        _directory.Dispose();
        return ValueTask.CompletedTask;
    }

    [Fact]
    public async Task Bad_input_gives_the_documented_exit_code_and_one_line_that_names_it()
    {
        await using Rynxs.Ledger.Files.FileLedger live = await Rynxs.Ledger.Files.FileLedger.OpenAsync(
            new Rynxs.Ledger.Files.FileLedgerOptions { Directory = _directory.At("live") }, Cancelled);
        string key = (await RynxsProgram.RunAsync("ledger", "keys", "init", "--keys", _directory.At("keys"), "--name", "t.example/log")).Output.Trim();
        List<string> wrong = [];
        await Parallel.ForEachAsync(
            Cases.Select(row => row.Data), new ParallelOptions { MaxDegreeOfParallelism = 4, CancellationToken = Cancelled },
            async (row, token) =>
            {
                (string command, string input, int[] expected) = row;
                string path = _directory.At(input);
                string[] arguments = [.. command.Split(' ').Select(word => word
                    .Replace("PATH", path, StringComparison.Ordinal).Replace("KEYS", _directory.At("keys"), StringComparison.Ordinal).Replace("KEY", key, StringComparison.Ordinal)
                    .Replace("LEDGER", _directory.At("ledger"), StringComparison.Ordinal).Replace("OLD", _directory.At("garbage"), StringComparison.Ordinal)
                    .Replace("OUT", _directory.At("out"), StringComparison.Ordinal).Replace("HASH", new string('a', 64), StringComparison.Ordinal))];
                Finished finished = await RynxsProgram.RunAsync(["ledger", .. arguments, "--state", _directory.At("no-state")]);
                string problem = !expected.Contains(finished.ExitCode) ? $"exit code {finished.ExitCode}, not {string.Join(" or ", expected)}"
                    : finished.All.Contains("   at ", StringComparison.Ordinal) || finished.All.Contains("Exception", StringComparison.Ordinal) ? "a stack trace"
                    : finished.ExitCode != 0 && finished.Error.Length + finished.Output.Length == 0 ? "not a word"
                    : finished.Error.Split('\n').Length > 6 ? "more than a few lines"
                    : "";
                if (problem.Length > 0)
                {
                    lock (wrong)
                    {
                        wrong.Add($"{command} on {input}: {problem}\n{finished.All}");
                    }
                }
            });

        wrong.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_file_that_may_not_be_read_is_named()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "setpriv needs root to drop it");
        Assert.SkipUnless(File.Exists("/usr/bin/setpriv"), "not installed: setpriv (util-linux)");
        string path = _directory.At("secret");
        await File.WriteAllTextAsync(path, "x\n", Cancelled);
        File.SetUnixFileMode(path, UnixFileMode.UserRead);
        File.SetUnixFileMode(_directory.Path, (UnixFileMode)0b111_101_101);
        foreach (string reader in Readers)
        {
            Finished finished = await RynxsProgram.RunAsync(new Invocation
            {
                Program = "/usr/bin/setpriv",
                Arguments = ["--reuid=65534", "--regid=65534", "--clear-groups", RynxsProgram.Path, "ledger", .. reader.Replace("PATH", path, StringComparison.Ordinal).Split(' '), "--state", "/nonexistent"],
            });
            Assert.SkipWhen(finished.Error.Contains("execve", StringComparison.Ordinal) || finished.ExitCode is 126 or 127, "the program itself is out of reach of another user here");
            finished.ExitCode.ShouldBe(1, $"{reader}\n{finished.All}");
            finished.Error.ShouldContain(path, customMessage: reader);
            finished.Error.ShouldNotContain("   at ");
        }
    }
}
