using System.Text;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Verification;

/// <summary>
/// Bytes that nobody wrote, into every parser of notes, checkpoints, proofs, keys, policies and tile paths, of both sides: they end with a result or
/// with the one exception that each names, and allocate no more than a multiple of their input. Ten million in all in the long run.
/// </summary>
public sealed class ProofFuzzTests
{
    private const int MaxAllocated = 1024 * 1024;

    private static readonly int Inputs = Soak.Enabled ? 10_000_000 : 1_000;

    [Fact]
    public void Notes_and_checkpoints_never_fault_and_both_readers_agree()
    {
        Run(1, Seeds.Checkpoint, input =>
        {
            SignedNote? note = Try<SignedNote, FormatException>(() => SignedNote.Parse(input));
            TreeCheckpoint? checkpoint = note is null ? null : Try<TreeCheckpoint, FormatException>(() => TreeCheckpoint.Parse(note.Text));
            SignedCheckpoint? read = Try<SignedCheckpoint, FormatException>(() => SignedCheckpoint.Parse(input));
            if (checkpoint is not null && note is not null)
            {
                Encoding.UTF8.GetBytes(note.ToString()).ShouldBe(input, "a note that is read is written back the same");
                if (read is not null)
                {
                    (read.Origin, read.Size, read.Root).ShouldBe((checkpoint.Origin, checkpoint.Size, checkpoint.Root.ToString()));
                }
            }
        });
    }

    [Fact]
    public void Proof_files_never_fault()
    {
        string record = Logs.Line(Logs.EventV2("{}"));
        PinnedKey[] keys = [PinnedKey.Parse(Seeds.Key.ToString())];
        Run(2, Seeds.Proof, input => Try<VerifiedProof, ProofException>(() => ProofVerifier.VerifyRecord(input, Encoding.UTF8.GetBytes(record), keys, null)));
        SignedCheckpoint older = SignedCheckpoint.Parse(Encoding.UTF8.GetBytes(Seeds.Checkpoint));
        Run(3, Seeds.Consistency, input =>
        {
            Try<VerifiedProof, ProofException>(() => ProofVerifier.VerifyConsistency(input, older, keys, null));
            Try<ConsistencyProof, FormatException>(() => ConsistencyProof.Parse(input));
        });
    }

    [Fact]
    public void Keys_policies_and_tile_paths_never_fault()
    {
        Run(4, Seeds.Key.ToString(), input =>
        {
            string text = Encoding.UTF8.GetString(input);
            VerifierKey? key = Try<VerifierKey, FormatException>(() => VerifierKey.Parse(text));
            PinnedKey? pinned = Try<PinnedKey, FormatException>(() => PinnedKey.Parse(text));
            if (key is not null)
            {
                pinned.ShouldNotBeNull().Text.ShouldBe(text);
            }
        });
        string witness = "witness w1 " + new VerifierKey("w", NoteSignatureType.CosignatureV1, new byte[32]) + " https://w.example/1\n";
        Run(5, $"log {Seeds.Key}\n{witness}group g any w1\nquorum g\n", input =>
            Try<TrustPolicy, FormatException>(() => TrustPolicy.Parse(Encoding.UTF8.GetString(input)))?.IsMetBy([]));
        Run(6, "tile/0/x001/x234/067.p/17", input =>
        {
            string path = Encoding.UTF8.GetString(input);
            if (TilePath.IsValid(path))
            {
                path.ShouldNotContain("..");
                path.StartsWith('/').ShouldBeFalse();
            }
        });
    }

    [Fact]
    public async Task Tiles_of_any_bytes_give_a_root_or_are_refused()
    {
        var random = new Random(8);
        int rounds = Soak.Enabled ? 1_000_000 : 300;
        for (int round = 0; round < rounds; round++)
        {
            var store = new Merkle.MemoryTreeStore();
            int size = random.Next(1, 70_000);
            foreach (string path in new[] { TilePath.OfTile(0, 0), TilePath.OfTile(1, 0), TilePath.OfTile(0, size / 256, Math.Max(1, size % 256)) })
            {
                byte[] content = new byte[random.Next(0, 9000)];
                random.NextBytes(content);
                store.Blobs[path] = content;
            }

            (await TreeWriter.TryContinueAsync(store, size, TreeHash.OfEmptyTree, CancellationToken.None)).ShouldBeNull();
        }
    }

    private static T? Try<T, TException>(Func<T> action)
        where T : class
        where TException : Exception
    {
        try
        {
            return action();
        }
        catch (TException)
        {
            return null;
        }
    }

    private static void Run(int seed, string sample, Action<byte[]> feed)
    {
        var random = new Random(seed);
        byte[] good = Encoding.UTF8.GetBytes(sample);
        feed(good);
        for (int count = 0; count < Inputs; count++)
        {
            byte[] input = Mutate(good, random);
            long before = GC.GetAllocatedBytesForCurrentThread();
            feed(input);
            long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
            if (allocated >= MaxAllocated)
            {
                Assert.Fail($"{allocated} bytes allocated for {Convert.ToHexString(input)}");
            }
        }
    }

    private static byte[] Mutate(byte[] good, Random random)
    {
        var bytes = new List<byte>(good);
        for (int change = random.Next(1, 6); change > 0; change--)
        {
            int at = random.Next(bytes.Count + 1);
            switch (random.Next(6))
            {
                case 0 when at < bytes.Count:
                    bytes[at] = (byte)random.Next(256);
                    break;
                case 1 when at < bytes.Count:
                    bytes.RemoveAt(at);
                    break;
                case 2:
                    bytes.Insert(at, "\n +/=0—9Ax."u8[random.Next(11)]);
                    break;
                case 3:
                    int length = Math.Min(random.Next(1, 80), bytes.Count - at);
                    bytes.InsertRange(at, bytes.GetRange(at, length));
                    break;
                case 4:
                    bytes.RemoveRange(at, Math.Min(random.Next(1, 80), bytes.Count - at));
                    break;
                default:
                    bytes.InsertRange(at, Encoding.ASCII.GetBytes(random.NextInt64(long.MinValue, long.MaxValue).ToString(System.Globalization.CultureInfo.InvariantCulture)));
                    break;
            }
        }

        return [.. bytes];
    }

    private static class Seeds
    {
        private static readonly SigningKey Signing = SigningKey.Generate("example.com/log");
        private static readonly TreeHash Leaf = TreeHash.OfEntry(new byte[32]);
        private static readonly string Text = new TreeCheckpoint("example.com/log", 2, TreeHash.OfNode(Leaf, Leaf)).ToText();
        private static readonly SignedNote Note = new(Text, [Signing.Sign(Text)]);

        public static VerifierKey Key => Signing.PublicKey;

        public static string Checkpoint => Note.ToString();

        public static string Proof => new TreeProof(1, [Leaf], Note).ToString();

        public static string Consistency => new ConsistencyProof(1, [Leaf], Note).ToString();
    }
}
