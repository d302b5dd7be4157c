using System.Globalization;
using Rynxs.Ledger;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Remote;
using Rynxs.Server.LedgerRole;

namespace Rynxs.SecurityTests;

/// <summary>The two processes that <see cref="LedgerRoleKillTests"/> kills: the role, and a writer with a spool.</summary>
internal static class LedgerRoleChildren
{
    public const string Role = "--ledger-role", Writer = "--spool-writer";

    public static readonly ChainId Chain = ChainId.Agent("rynxs", "my-agent");

    /// <summary>Null when the arguments ask for neither.</summary>
    public static Task<int>? TryRunAsync(string[] arguments) => arguments switch
    {
        [Role, string state, string listen] => RunRoleAsync(state, listen),
        [Writer, string address, string token, string spool, string first] => RunWriterAsync(new Uri(address), token, spool, int.Parse(first, CultureInfo.InvariantCulture)),
        _ => null,
    };

    private static async Task<int> RunRoleAsync(string state, string listen)
    {
        await using LedgerRoleServer role = await LedgerRoleServer.StartAsync(
            new LedgerRoleOptions { StateDirectory = state, Store = Path.Combine(state, "store"), Listen = listen, LogWriter = TextWriter.Null }, CancellationToken.None);
        await SayAsync(role.Url.OriginalString);
        await Console.In.ReadToEndAsync();
        return 0;
    }

    /// <summary>Spools numbers and says each when it is durable. At the end of its input it waits until the role has all, and says so.</summary>
    private static async Task<int> RunWriterAsync(Uri address, string token, string spool, int first)
    {
        await using RemoteLedger ledger = await RemoteLedger.OpenAsync(
            new RemoteLedgerOptions { Address = address, Token = () => token, SpoolDirectory = spool, MaxBackoff = TimeSpan.FromMilliseconds(100), AppendTimeout = TimeSpan.FromMinutes(2) }, CancellationToken.None);
        var chain = (RemoteChain)await ledger.OpenAsync(Chain, new ChainOptions(), CancellationToken.None);
        Task stop = Task.Run(Console.In.ReadToEnd); // Its asynchronous form reads on the caller's thread.
        for (int number = first; !stop.IsCompleted; number++)
        {
            var entry = new LedgerEntry
            {
                Payload = new ToolOutcome { CallId = $"call-{number}", Tool = "sandbox.shell", Status = "ok", ExitCode = number },
                AggregateId = "rynxs/my-agent", Principal = "agent:rynxs/my-agent", IdempotencyKey = $"n{number}",
            };

            // One after another, now and then waiting for the role: both ways to be told that an entry is safe.
            await (number % 8 == 0 ? chain.AppendAsync(entry, CancellationToken.None).AsTask() : chain.SpoolAsync(entry, CancellationToken.None).AsTask());
            await SayAsync(number.ToString(CultureInfo.InvariantCulture));
        }

        while (chain.SpooledBytes > 0)
        {
            await Task.Delay(20);
        }

        await SayAsync("empty");
        return chain.IsFenced || chain.RefusedEntries > 0 ? 1 : 0;
    }

    private static async Task SayAsync(string line)
    {
        await Console.Out.WriteLineAsync(line);
        await Console.Out.FlushAsync();
    }
}
