using System.Buffers;
using System.Buffers.Text;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace Rynxs.Ledger.Verifier;

/// <summary>Recomputes the commitments of side blobs. An absent blob was erased; a wrong one was altered.</summary>
internal static class BlobVerifier
{
    private const int MaxContentBytes = 4 * 1024 * 1024;
    private const int SaltBytes = 32;
    private const int MaxLineBytes = (MaxContentBytes + 2) / 3 * 4 + 256;

    /// <summary>Verifies all side-blob files of a chain's directory.</summary>
    public static (long Verified, ChainFailure? Failure) Verify(string chain, string directory, CancellationToken cancellationToken)
    {
        long verified = 0;
        foreach (string path in Directory.EnumerateFiles(directory, "blobs-*.jsonl").Order(StringComparer.Ordinal))
        {
            using SafeFileHandle file = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            var reader = new BlockReader(file, MaxLineBytes);
            var block = new Block(reader.Capacity);
            long line = 0;
            while (reader.TryFill(block, cancellationToken))
            {
                ReadOnlySpan<byte> rest = block.Buffer.AsSpan(0, block.Length);
                while (!rest.IsEmpty)
                {
                    int newline = rest.IndexOf((byte)'\n');
                    line++;
                    if (Check(rest[..newline]) is { } defect)
                    {
                        return (verified, new ChainFailure(
                            chain, path, line, -1, defect.Code, defect.Message, defect.Expected, defect.Actual));
                    }

                    verified++;
                    rest = rest[(newline + 1)..];
                }
            }

            if (reader.LineTooLong)
            {
                return (verified, new ChainFailure(
                    chain, path, line + 1, -1, FailureCodes.TooLong, $"The line is longer than {MaxLineBytes} bytes.", null, null));
            }
        }

        return (verified, null);
    }

    private static BlockDefect? Check(ReadOnlySpan<byte> line)
    {
        try
        {
            var scanner = new CanonicalScanner(line);
            ReadOnlySpan<byte> key = default;
            ReadOnlySpan<byte> commitment = default;
            ReadOnlySpan<byte> content = default;
            ReadOnlySpan<byte> salt = default;
            bool first = true;
            int fields = 0;
            scanner.BeginObject();
            while (scanner.NextMember(ref key, ref first))
            {
                fields++;
                if (key.SequenceEqual("commitment"u8))
                {
                    commitment = scanner.Text();
                }
                else if (key.SequenceEqual("content"u8))
                {
                    content = scanner.Text();
                }
                else if (key.SequenceEqual("salt"u8))
                {
                    salt = scanner.Text();
                }
                else
                {
                    scanner.Value();
                    fields = -1;
                    break;
                }
            }

            if (fields != 3 || !commitment.StartsWith("sha256:"u8) || commitment.Length != 71)
            {
                return new BlockDefect(0, FailureCodes.BlobMalformed, "The line is not {commitment, content, salt}.");
            }

            scanner.ExpectEnd();
            return Compare(commitment, content, salt);
        }
        catch (LineDefectException exception)
        {
            return new BlockDefect(0, FailureCodes.BlobMalformed, exception.Message);
        }
    }

    private static BlockDefect? Compare(ReadOnlySpan<byte> commitment, ReadOnlySpan<byte> content, ReadOnlySpan<byte> salt)
    {
        byte[] opened = ArrayPool<byte>.Shared.Rent(Base64.GetMaxDecodedFromUtf8Length(content.Length) + Base64.GetMaxDecodedFromUtf8Length(salt.Length));
        try
        {
            bool decoded = Base64.DecodeFromUtf8(salt, opened, out _, out int saltLength) == OperationStatus.Done && saltLength == SaltBytes;
            int contentLength = 0;
            decoded = decoded && Base64.DecodeFromUtf8(content, opened.AsSpan(SaltBytes), out _, out contentLength) == OperationStatus.Done
                && contentLength <= MaxContentBytes;
            if (!decoded)
            {
                return new BlockDefect(0, FailureCodes.BlobMalformed, "content or salt is not base64 of an allowed length.");
            }

            string actual = "sha256:" + Convert.ToHexStringLower(SHA256.HashData(opened.AsSpan(0, SaltBytes + contentLength)));
            string expected = System.Text.Encoding.ASCII.GetString(commitment);
            return expected == actual
                ? null
                : new BlockDefect(0, FailureCodes.BlobMismatch, "The side blob is not what its commitment says.", expected, actual);
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(opened, clearArray: true);
        }
    }
}
