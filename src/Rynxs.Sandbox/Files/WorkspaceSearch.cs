using System.Text;
using System.Text.RegularExpressions;
using Microsoft.Win32.SafeHandles;

namespace Rynxs.Sandbox.Files;

/// <summary>Collects the matching lines of one search and keeps its bounds.</summary>
internal sealed class WorkspaceSearch(LineMatcher matcher, int maxMatches, TimeProvider timeProvider)
{
    private const int MaxFileBytes = 4 * 1024 * 1024;
    private const long MaxTotalBytes = 64L * 1024 * 1024;
    private const int MaxFiles = 10_000;
    private const int MaxShownCharacters = 400;
    private const int BinaryProbeBytes = 8 * 1024;

    private readonly long _began = timeProvider.GetTimestamp();
    private readonly List<SearchMatch> _matches = [];
    private byte[] _buffer = new byte[64 * 1024];
    private long _bytes;
    private int _files;
    private bool _truncated;

    /// <summary>False when a bound is reached; the result then says that it is truncated.</summary>
    public bool WantsMore
    {
        get
        {
            if (_bytes >= MaxTotalBytes || _files >= MaxFiles || timeProvider.GetElapsedTime(_began) > WorkspaceWalk.MaxElapsed)
            {
                _truncated = true;
            }

            return !_truncated;
        }
    }

    public void SearchFile(SafeFileHandle file, string path, CancellationToken cancellationToken)
    {
        ReadOnlySpan<byte> content = ReadContent(file, path);
        _files++;
        if (content[..Math.Min(content.Length, BinaryProbeBytes)].Contains((byte)0))
        {
            return;
        }

        for (int number = 1; !content.IsEmpty; number++)
        {
            cancellationToken.ThrowIfCancellationRequested();
            if (timeProvider.GetElapsedTime(_began) > WorkspaceWalk.MaxElapsed)
            {
                _truncated = true;
                return;
            }

            int end = content.IndexOf((byte)'\n');
            ReadOnlySpan<byte> line = end < 0 ? content : content[..end];
            content = end < 0 ? [] : content[(end + 1)..];
            if (line.EndsWith("\r"u8))
            {
                line = line[..^1];
            }

            if (!Matches(line))
            {
                continue;
            }

            if (_matches.Count == maxMatches)
            {
                _truncated = true;
                return;
            }

            _matches.Add(new SearchMatch(path, number, Shown(line)));
        }
    }

    public SearchResult ToResult(bool truncatedWalk) => new(_matches, _files, _truncated || truncatedWalk);

    private ReadOnlySpan<byte> ReadContent(SafeFileHandle file, string path)
    {
        int length = 0;
        while (true)
        {
            int count = OpenAt2.ReadAt(file, _buffer.AsSpan(length), length);
            if (count < 0)
            {
                throw FileAccessErrors.From(-count, path);
            }

            length += count;
            if (length < _buffer.Length)
            {
                break;
            }

            if (length >= MaxFileBytes)
            {
                _truncated |= OpenAt2.ReadAt(file, stackalloc byte[1], length) > 0;
                break;
            }

            Array.Resize(ref _buffer, Math.Min(_buffer.Length * 2, MaxFileBytes));
        }

        _bytes += length;
        return _buffer.AsSpan(0, length);
    }

    private bool Matches(ReadOnlySpan<byte> line)
    {
        try
        {
            return matcher.IsMatch(line);
        }
        catch (RegexMatchTimeoutException)
        {
            _truncated = true;
            return false;
        }
    }

    private static string Shown(ReadOnlySpan<byte> line)
    {
        // Four bytes are the most that one character takes.
        string text = Encoding.UTF8.GetString(line[..Math.Min(line.Length, MaxShownCharacters * 4)]);
        return text.Length <= MaxShownCharacters ? text : text[..(char.IsHighSurrogate(text[MaxShownCharacters - 1]) ? MaxShownCharacters - 1 : MaxShownCharacters)];
    }
}

/// <summary>A text or a regular expression without backtracking, so that no pattern and no file can make it run away.</summary>
internal sealed class LineMatcher
{
    private const int MaxPatternCharacters = 1000;
    private readonly byte[]? _text;
    private readonly Regex? _expression;

    private LineMatcher(byte[]? text, Regex? expression)
    {
        _text = text;
        _expression = expression;
    }

    /// <exception cref="FileAccessException"><c>invalid_pattern</c>.</exception>
    public static LineMatcher Create(string pattern, bool regex)
    {
        ArgumentNullException.ThrowIfNull(pattern);
        if (pattern.Length is 0 or > MaxPatternCharacters)
        {
            throw new FileAccessException("invalid_pattern", $"pattern: give 1 to {MaxPatternCharacters} characters");
        }

        if (!regex)
        {
            return new LineMatcher(Encoding.UTF8.GetBytes(pattern), null);
        }

        try
        {
            return new LineMatcher(null, new Regex(pattern, RegexOptions.NonBacktracking | RegexOptions.CultureInvariant, TimeSpan.FromSeconds(1)));
        }
        catch (Exception e) when (e is ArgumentException or NotSupportedException)
        {
            throw new FileAccessException("invalid_pattern", $"pattern: {e.Message}", e);
        }
    }

    public bool IsMatch(ReadOnlySpan<byte> line) =>
        _text is not null ? line.IndexOf(_text) >= 0 : _expression is not null && _expression.IsMatch(Encoding.UTF8.GetString(line));
}
