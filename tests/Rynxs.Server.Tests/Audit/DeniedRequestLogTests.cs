using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Ledger;
using Rynxs.Ledger.Files;
using Rynxs.Server.Audit;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Audit;

public sealed class DeniedRequestLogTests
{
    [Fact]
    public async Task G6_a_flood_of_refusals_costs_a_bounded_number_of_records_and_every_one_is_counted()
    {
        CancellationToken cancellationToken = TestContext.Current.CancellationToken;
        string directory = TestServer.NewStatePath();
        await using (FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = directory }, cancellationToken))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken);
            using var stop = new CancellationTokenSource();
            var log = new DeniedRequestLog(chain, TimeProvider.System, NullLogger<DeniedRequestLog>.Instance);
            Task run = log.RunAsync(stop.Token);
            const int Flood = 100_000;
            for (int i = 0; i < Flood; i++)
            {
                log.Record($"user:{i % 5000}", "GET", "/api/v1/doctor", "forbidden");
            }

            await stop.CancelAsync();
            await run;

            long records = 0;
            long counted = 0;
            await foreach (LedgerRecord record in chain.ReadAsync(0, cancellationToken))
            {
                if (record.Type == "RequestDenied")
                {
                    records++;
                    counted += record.Payload.TryGetProperty("count", out System.Text.Json.JsonElement count) ? count.GetInt64() : 1;
                }
            }

            records.ShouldBeLessThanOrEqualTo(DeniedRequestLog.SinglesPerWindow + DeniedRequestLog.MaxSums + 1);
            records.ShouldBeGreaterThan(0, "positive control: refusals are recorded");
            counted.ShouldBe(Flood);
        }

        Directory.Delete(directory, recursive: true);
    }
}
