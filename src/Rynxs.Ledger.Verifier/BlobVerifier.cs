using System.Buffers;
using System.Buffers.Text;
using System.Security.Cryptography;

namespace Rynxs.Ledger.Verifier;

/// <summary>Recomputes the commitments of side blobs. An absent blob was erased; a wrong one was altered.</summary>
internal static class BlobVerifier
{
    private const int MaxContentBytes = 4 * 1024 * 1024;
    private const int SaltBytes = 32;
    private const int MaxLineBytes = (MaxContentBytes + 2) / 3 * 4 + 256;

    /// <summary>Verifies all side-blob files of a chain.</summary>
    public static async Task<(long Verified, ChainFailure? Failure)> VerifyAsync(
        string chain, IReadOnlyList<SegmentSource> files, CancellationToken cancellationToken)
    {
        long verified = 0;
        Block? block = null;
        foreach (SegmentSource file in files)
        {
            Stream stream = await file.OpenAsync(cancellationToken);
            await using var _ = stream;
            string path = file.Name;
            var reader = new BlockReader(stream, MaxLineBytes);
            block ??= new Block(reader.Capacity);
            long line = 0;
            while (await reader.TryFillAsync(block, cancellationToken))
            {
                (int lines, BlockDefect? defect) = Check(block);
                if (defect is not null)
                {
                    return (verified + lines, new ChainFailure(
                        chain, path, line + lines + 1, -1, defect.Code, defect.Message, defect.Expected, defect.Actual));
                }

                verified += lines;
                line += lines;
            }

            if (reader.LineTooLong)
            {
                return (verified, new ChainFailure(
                    chain, path, line + 1, -1, FailureCodes.TooLong, $"The line is longer than {MaxLineBytes} bytes.", null, null));
            }
        }

        return (verified, null);
    }

    private static (int Lines, BlockDefect? Defect) Check(Block block)
    {
        int lines = 0;
        for (ReadOnlySpan<byte> rest = block.Buffer.AsSpan(0, block.Length); !rest.IsEmpty; lines++)
        {
            int newline = rest.IndexOf((byte)'\n');
            if (Check(rest[..newline]) is { } defect)
            {
                return (lines, defect);
            }

            rest = rest[(newline + 1)..];
        }

        return (lines, null);
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
