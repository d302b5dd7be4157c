using System.Diagnostics;
using System.Globalization;
using System.Text;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Verifier;
using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;

namespace Rynxs.SecurityTests;

/// <summary>The role <c>ledger</c> and a writer with a spool are killed with SIGKILL in turn while both work: what was acknowledged is recorded, and once.</summary>
public sealed class LedgerRoleKillTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly HashSet<int> _acknowledged = [];

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task F3_killing_role_and_writer_again_and_again_loses_and_doubles_nothing_that_was_acknowledged()
    {
        int rounds = Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1" ? 300 : 4;
        var random = new Random(5);
        string state = Directory.CreateDirectory(_directory.At("state")).FullName;
        string token = new TokenStore(state, TimeProvider.System).Create("writer:a", new HashSet<Role> { Role.Operator }, null, null);
        (Process role, string address) = await StartRoleAsync("127.0.0.1:0");
        string listen = new Uri(address).Authority;
        Process writer = StartWriter(address, token);
        try
        {
            for (int round = 0; round < rounds; round++)
            {
                // A few acknowledgements, so that the kill falls into work; how many is random.
                await ReadAsync(writer, until: random.Next(5, 60));
                if (round % 2 == 0)
                {
                    await KillAsync(role);
                    await Task.Delay(random.Next(0, 50), Cancelled); // The writer goes on into its spool, until an entry that waits for the role.
                    (role, _) = await StartRoleAsync(listen);
                }
                else
                {
                    await KillAsync(writer);
                    await ReadAsync(writer, until: int.MaxValue); // What it had said before.
                    writer = StartWriter(address, token);
                }
            }

            writer.StandardInput.Close();
            await ReadAsync(writer, until: int.MaxValue);
            await writer.WaitForExitAsync(Cancelled);
            writer.ExitCode.ShouldBe(0, "it was neither fenced nor refused");
        }
        finally
        {
            await KillAsync(writer);
            await KillAsync(role);
        }

        int[] recorded = await RecordedAsync(Path.Combine(state, "store"));
        recorded.ShouldBeUnique();
        _acknowledged.Except(recorded).ShouldBeEmpty("acknowledged, and lost");
        recorded.ShouldBeInOrder();
        _acknowledged.Count.ShouldBeGreaterThan(rounds * 3);
        ChainVerifier.VerifyPath(Path.Combine(state, "store"), Cancelled).Valid.ShouldBeTrue();
    }

    private async Task<(Process Role, string Address)> StartRoleAsync(string listen)
    {
        Process role = Start(LedgerRoleChildren.Role, _directory.At("state"), listen);
        return (role, await role.StandardOutput.ReadLineAsync(Cancelled) ?? throw new InvalidOperationException("The role did not start: " + await role.StandardError.ReadToEndAsync(Cancelled)));
    }

    /// <summary>Goes on behind the highest number that anybody was told; numbers that were not are left out, as a program would that retries with a new id.</summary>
    private Process StartWriter(string address, string token) => Start(
        LedgerRoleChildren.Writer, address, token, _directory.At("spool"), ((_acknowledged.Count == 0 ? 0 : _acknowledged.Max()) + 1000).ToString(CultureInfo.InvariantCulture));

    private static Process Start(params string[] arguments)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath ?? throw new InvalidOperationException("This process has no program."))
        {
            RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, StandardOutputEncoding = Encoding.UTF8,
        };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        return Process.Start(start) ?? throw new InvalidOperationException("The child did not start.");
    }

    private async Task ReadAsync(Process writer, int until)
    {
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(Cancelled);
        patience.CancelAfter(TimeSpan.FromMinutes(2));
        for (int read = 0; read < until && await writer.StandardOutput.ReadLineAsync(patience.Token) is { } line; read++)
        {
            // The last line of a killed writer may be cut short: a number that was not said to its end was not said.
            if (int.TryParse(line, CultureInfo.InvariantCulture, out int number) && number >= 1000)
            {
                _acknowledged.Add(number);
            }
        }
    }

    private static async Task KillAsync(Process process)
    {
        if (!process.HasExited)
        {
            process.Kill();
        }

        await process.WaitForExitAsync(CancellationToken.None);
    }

    private static async Task<int[]> RecordedAsync(string store)
    {
        List<int> numbers = [];
        await using FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = store }, Cancelled);
        ILedgerChain chain = await ledger.OpenAsync(LedgerRoleChildren.Chain, new ChainOptions(), Cancelled);
        await foreach (LedgerRecord record in chain.ReadAsync(0, Cancelled))
        {
            if (record.Type == nameof(ToolOutcome))
            {
                numbers.Add(record.Payload.GetProperty("exit_code").GetInt32());
            }
        }

        return [.. numbers];
    }
}
