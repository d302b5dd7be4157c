using System.Diagnostics.Metrics;
using Rynxs.Ledger;
using Rynxs.Server.Metrics;
using Rynxs.Server.Tls;

namespace Rynxs.Server.LedgerRole;

/// <summary>What a role owns beside its store and its listener.</summary>
internal sealed record RoleParts(RoleChains Chains, LedgerRoleMetrics Metrics, PrometheusExporter Exporter, CertificateAuthority? Authority) : IDisposable
{
    public static RoleParts Create(IServiceProvider services, ILedger ledger, CertificateAuthority? authority)
    {
        var meters = services.GetRequiredService<IMeterFactory>();
        var exporter = new PrometheusExporter(meters); // Before the instruments: it takes those that are made after it, too, but none is missed so.
        var chains = new RoleChains(ledger);
        return new RoleParts(chains, new LedgerRoleMetrics(meters, chains), exporter, authority);
    }

    public void Dispose()
    {
        Exporter.Dispose();
        Metrics.Dispose();
        Authority?.Dispose();
    }
}
