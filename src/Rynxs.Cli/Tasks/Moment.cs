using System.Globalization;

namespace Rynxs.Cli.Tasks;

/// <summary>Times as people type them: RFC 3339, or a span from now.</summary>
internal static class Moment
{
    /// <exception cref="CliException">It is neither, or not after now.</exception>
    public static DateTimeOffset Parse(string option, string text, TimeProvider timeProvider)
    {
        DateTimeOffset now = timeProvider.GetUtcNow();
        if (TryParseSpan(text, out TimeSpan span))
        {
            return now + span;
        }

        if (text.Contains('T', StringComparison.Ordinal)
            && DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal, out DateTimeOffset moment))
        {
            return moment > now ? moment : throw new CliException($"{option}: {text} is in the past.", ExitCodes.Usage);
        }

        throw new CliException($"{option}: '{text}' is neither a moment (2026-01-31T12:00:00Z) nor a span (90s, 15m, 2h, 1d).", ExitCodes.Usage);
    }

    private static bool TryParseSpan(string text, out TimeSpan span)
    {
        span = TimeSpan.Zero;
        if (text.Length is < 2 or > 8 || !int.TryParse(text.AsSpan(0, text.Length - 1), NumberStyles.None, CultureInfo.InvariantCulture, out int count) || count == 0)
        {
            return false;
        }

        int seconds = text[^1] switch { 's' => 1, 'm' => 60, 'h' => 3600, 'd' => 86400, _ => 0 };
        span = TimeSpan.FromSeconds((double)count * seconds);
        return seconds > 0 && span < TimeSpan.FromDays(3660);
    }
}
