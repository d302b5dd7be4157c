using System.Security.Cryptography;
using System.Text;

namespace Rynxs.EndToEndTests.Evidence;

/// <summary>The witness as a second process, asked by <c>rynxs ledger publish</c> as a third: nothing is shared but the wire.</summary>
public sealed class WitnessProcessTests : IAsyncLifetime
{
    private const string Origin = "test.example/log";

    private readonly TemporaryDirectory _directory = new();
    private RunningRole? _witness;
    private string _logKey = "";
    private string _witnessKey = "";

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private string Ledger => _directory.At("ledger");

    private RunningRole Witness => _witness ?? throw new InvalidOperationException("The witness does not run.");

    public async ValueTask InitializeAsync()
    {
        await File.WriteAllTextAsync(_directory.At("token"), "a-token-of-the-witness\n", Cancelled);
        _logKey = (await RunAsync(0, "ledger", "keys", "init", "--keys", _directory.At("keys"), "--name", Origin)).Output.Trim();
        await File.WriteAllTextAsync(_directory.At("log-keys"), _logKey + "\n", Cancelled);
        await StartWitnessAsync();
        await LedgerFiles.AppendAsync(Ledger, 5);
    }

    public async ValueTask DisposeAsync()
    {
        if (_witness is not null)
        {
            await _witness.DisposeAsync();
        }

        _directory.Dispose();
    }

    [Fact]
    public async Task F1_it_cosigns_what_continues_refuses_a_split_view_and_a_roll_back_and_remembers_over_a_kill()
    {
        await PublishAsync(Ledger, 0);
        await RunAsync(0, "ledger", "verify", Ledger, "--witness-policy", _directory.At("policy"));
        LedgerFiles.Copy(Ledger, _directory.At("old"));
        LedgerFiles.Copy(Ledger, _directory.At("fork"));
        await LedgerFiles.AppendAsync(Ledger, 2, "true");
        await PublishAsync(Ledger, 0);

        // The log's own key signs another history: longer than what the witness saw, so only its proof tells.
        await LedgerFiles.AppendAsync(_directory.At("fork"), 30, "false");
        (await PublishAsync(_directory.At("fork"), 2)).Error.ShouldContain("refused");

        // An old copy of the ledger goes on: shorter than what the witness saw.
        (await PublishAsync(_directory.At("old"), 2)).Error.ShouldContain("ahead");

        await Witness.KillAsync();
        (await PublishAsync(Ledger, 1)).Error.ShouldContain("unreachable");
        await StartWitnessAsync();
        (await PublishAsync(_directory.At("fork"), 2)).Error.ShouldContain("refused", customMessage: "after a kill, too");
        await LedgerFiles.AppendAsync(Ledger, 1, "more");
        await PublishAsync(Ledger, 0);
        (await Witness.StopAsync()).ShouldBe(0);
        await StartWitnessAsync();
        await PublishAsync(Ledger, 0);
        await RunAsync(0, "ledger", "verify", Ledger, "--witness-policy", _directory.At("policy"));

        // Whoever kept the witness's checkpoint finds the roll-back without asking it again.
        using var http = new HttpClient();
        http.DefaultRequestHeaders.Authorization = new("Bearer", "a-token-of-the-witness");
        string hash = Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Origin)));
        await File.WriteAllTextAsync(_directory.At("kept"), await http.GetStringAsync(new Uri(Witness.Url, $"{hash}/checkpoint"), Cancelled), Cancelled);
        await RunAsync(0, "ledger", "verify", Ledger, "--key", _logKey, "--checkpoint", _directory.At("kept"));
        (await RunAsync(2, "ledger", "verify", _directory.At("old"), "--key", _logKey, "--checkpoint", _directory.At("kept"))).Output.ShouldContain("rolled_back");
        (await RunAsync(2, "ledger", "verify", _directory.At("fork"), "--key", _logKey, "--checkpoint", _directory.At("kept"))).Output.ShouldContain("split_view");
    }

    [Fact]
    public async Task Keys_of_the_log_and_of_the_witness_rotate_while_it_runs()
    {
        await PublishAsync(Ledger, 0);
        string fresh = (await RunAsync(0, "ledger", "keys", "rotate", "--keys", _directory.At("keys"), "--overlap", "0")).Output.Trim();
        await LedgerFiles.AppendAsync(Ledger, 1);
        (await PublishAsync(Ledger, 2)).Error.ShouldContain("403", customMessage: "it knows the old key alone");
        await File.WriteAllTextAsync(_directory.At("log-keys"), $"{_logKey}\n{fresh}\n", Cancelled);
        await PublishAsync(Ledger, 0);

        string cosigner = (await RunAsync(0, "ledger", "keys", "rotate", "--keys", _directory.At("witness", "keys"), "--overlap", "1h")).Output.Trim();
        await LedgerFiles.AppendAsync(Ledger, 1);
        await PublishAsync(Ledger, 0);
        string checkpoint = await File.ReadAllTextAsync(Path.Combine(Ledger, "control", "tlog", "checkpoint"), Cancelled);
        checkpoint.Split('\n').Count(line => line.StartsWith("— w1.example/w ", StringComparison.Ordinal)).ShouldBe(1, "the log keeps the cosignature that its policy names");
        _witnessKey = cosigner;
        await WritePolicyAsync(fresh);
        await LedgerFiles.AppendAsync(Ledger, 1);
        await PublishAsync(Ledger, 0);
        await RunAsync(0, "ledger", "verify", Ledger, "--witness-policy", _directory.At("policy"));

        // A list that cannot be read could be one that a stolen key was taken out of: nothing is cosigned.
        await File.WriteAllTextAsync(_directory.At("log-keys"), "garbage\n", Cancelled);
        await LedgerFiles.AppendAsync(Ledger, 1);
        (await PublishAsync(Ledger, 1)).Error.ShouldContain("503");
        Witness.Log.ShouldContain("--log-key");
    }

    [Fact]
    public async Task D_without_its_token_it_answers_nobody()
    {
        await File.WriteAllTextAsync(_directory.At("token"), "another-token-than-before\n", Cancelled);
        (await PublishAsync(Ledger, 1)).Error.ShouldContain("401");
        await File.WriteAllTextAsync(_directory.At("token"), "a-token-of-the-witness\n", Cancelled);
        await PublishAsync(Ledger, 0); // Positive control.
    }

    private async Task StartWitnessAsync()
    {
        if (_witness is not null)
        {
            await _witness.DisposeAsync();
        }

        _witness = await RunningRole.StartAsync(
            "witness", "--dir", _directory.At("witness"), "--name", "w1.example/w", "--log-key", "@" + _directory.At("log-keys"), "--token-file", _directory.At("token"),
            "--listen", "127.0.0.1:0");
        _witnessKey = Witness.Lines[0];
        await WritePolicyAsync(_logKey);
    }

    private Task WritePolicyAsync(string logKey) => File.WriteAllTextAsync(
        _directory.At("policy"), $"log {logKey}\nwitness w1 {_witnessKey} {Witness.Url}\nquorum w1\n", Cancelled);

    private Task<Finished> PublishAsync(string ledger, int expected) => RunAsync(
        expected, "ledger", "publish", ledger, "--keys", _directory.At("keys"), "--witness-policy", _directory.At("policy"), "--witness-token", _directory.At("token"));

    private static async Task<Finished> RunAsync(int expected, params string[] arguments)
    {
        Finished finished = await RynxsProgram.RunAsync(arguments);
        finished.ExitCode.ShouldBe(expected, $"{string.Join(' ', arguments)}\n{finished.All}");
        return finished;
    }
}
