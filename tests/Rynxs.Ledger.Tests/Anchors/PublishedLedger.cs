using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Tests.Keys;
using Rynxs.Ledger.Verifier;
using Rynxs.Ledger.Witnessing;

namespace Rynxs.Ledger.Tests.Anchors;

/// <summary>A ledger in files with a control chain and one agent's, that publishes: what the server does, without the server.</summary>
internal sealed class PublishedLedger : IAsyncDisposable
{
    public const string Origin = "rynxs.test/log";
    public static readonly ChainId Agent = ChainId.Agent("rynxs", "my-agent");

    private int _next;

    private PublishedLedger(string path, KeyDirectory keys, AnchoredLedger ledger, ILedgerChain control, ILedgerChain agent, TransparencyLog log) =>
        (Path, Keys, Ledger, Control, AgentChain, Log) = (path, keys, ledger, control, agent, log);

    public string Path { get; }

    public KeyDirectory Keys { get; }

    public AnchoredLedger Ledger { get; }

    public ILedgerChain Control { get; }

    public ILedgerChain AgentChain { get; }

    public TransparencyLog Log { get; }

    /// <summary>The log's key, as an auditor pins it.</summary>
    public PinnedKey Key => PinnedKey.Parse(Keys.Keys[^1].PublicKey.ToString());

    public static async Task<PublishedLedger> OpenAsync(
        string path, string keys, TimeProvider? time = null, IReadOnlyList<WitnessClient>? witnesses = null, Func<IReadOnlyCollection<NoteSignature>, bool>? quorum = null,
        Func<ITreeStore, ITreeStore>? around = null)
    {
        TimeProvider clock = time ?? new ManualTime();
        KeyDirectory directory = KeyDirectory.Exists(keys) ? KeyDirectory.Open(keys) : KeyDirectory.Create(keys, Origin, NoteSignatureType.Ed25519, clock);
        var ledger = new AnchoredLedger(await FileLedger.OpenAsync(new FileLedgerOptions { Directory = path, TimeProvider = clock }, CancellationToken.None));
        try
        {
            ILedgerChain control = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), CancellationToken.None);
            ILedgerChain agent = await ledger.OpenAsync(Agent, new ChainOptions(), CancellationToken.None);
            TransparencyLog log = await TransparencyLog.OpenAsync(
                new TransparencyLogOptions
                {
                    Ledger = ledger,
                    Control = control,
                    Trees = chain => (around ?? (store => store))(new FileTreeStore(System.IO.Path.Combine(path, chain.RelativePath))),
                    Keys = directory,
                    Witnesses = witnesses ?? [],
                    Quorum = quorum,
                    TimeProvider = clock,
                },
                CancellationToken.None);
            return new PublishedLedger(path, directory, ledger, control, agent, log);
        }
        catch
        {
            await ledger.DisposeAsync();
            throw;
        }
    }

    public async Task AppendAsync(int records)
    {
        for (int number = 0; number < records; number++)
        {
            await AgentChain.AppendAsync(Entries.Numbered(_next), CancellationToken.None);
            await Control.AppendAsync(Entries.Numbered(_next++), CancellationToken.None);
        }
    }

    public async Task<TransparencyStatus> AppendAndPublishAsync(int records)
    {
        await AppendAsync(records);
        return await Log.PublishAsync(CancellationToken.None);
    }

    public SignedCheckpoint Checkpoint(ChainId? chain = null) =>
        SignedCheckpoint.Parse(File.ReadAllBytes(System.IO.Path.Combine(Path, (chain ?? ChainId.Control).RelativePath, "tlog", "checkpoint")));

    public async ValueTask DisposeAsync()
    {
        await Ledger.DisposeAsync();
        Keys.Dispose();
    }

    /// <summary>A copy of everything in a ledger but its lock.</summary>
    public static void Copy(string from, string to)
    {
        foreach (string directory in Directory.EnumerateDirectories(from, "*", SearchOption.AllDirectories).Prepend(from))
        {
            Directory.CreateDirectory(directory.Replace(from, to, StringComparison.Ordinal), File.GetUnixFileMode(directory));
        }

        foreach (string file in Directory.EnumerateFiles(from, "*", SearchOption.AllDirectories).Where(file => !file.EndsWith("LOCK", StringComparison.Ordinal)))
        {
            File.Copy(file, file.Replace(from, to, StringComparison.Ordinal), overwrite: true);
        }
    }
}
