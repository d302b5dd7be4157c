namespace Rynxs.Sandbox.Egress;

/// <summary>
/// The other end of a sandbox's way out: whoever listens on the socket that the sandbox is given. The sandbox decides nothing and trusts nobody; it is known
/// by its socket.
/// </summary>
public interface ISandboxEgress
{
    /// <summary>What was asked for, such as <c>restricted</c> or <c>full</c>; shown in <c>controls[]</c>.</summary>
    string Mode { get; }

    /// <summary>Listens on the path; it belongs to that sandbox alone. Disposing what is returned cuts everything. Called once, before any program runs.</summary>
    /// <param name="sandbox">Whose it is.</param>
    /// <param name="owner">Who the sandbox works for.</param>
    /// <param name="socketPath">Below 108 bytes; its directory exists and is the sandbox's own.</param>
    /// <param name="cancellationToken">Gives up.</param>
    /// <exception cref="SandboxRefusedException">No way out can be had; the sandbox is refused.</exception>
    Task<IAsyncDisposable> OpenAsync(SandboxId sandbox, SandboxOwner owner, string socketPath, CancellationToken cancellationToken);
}
