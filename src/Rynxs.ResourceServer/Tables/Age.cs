using System.Globalization;

namespace Rynxs.ResourceServer.Tables;

/// <summary>Durations as people read them, in the form of Kubernetes: two units at most, fewer the longer it is.</summary>
internal static class Age
{
    public static string Of(TimeSpan age)
    {
        long seconds = (long)age.TotalSeconds;
        if (seconds < -1)
            return "<invalid>";
        if (seconds <= 0)
            return "0s";
        if (seconds < 60 * 2)
            return Text($"{seconds}s");
        long minutes = seconds / 60;
        if (minutes < 10)
            return seconds % 60 == 0 ? Text($"{minutes}m") : Text($"{minutes}m{seconds % 60}s");
        if (minutes < 60 * 3)
            return Text($"{minutes}m");
        long hours = minutes / 60;
        if (hours < 8)
            return minutes % 60 == 0 ? Text($"{hours}h") : Text($"{hours}h{minutes % 60}m");
        if (hours < 48)
            return Text($"{hours}h");
        if (hours < 192)
            return hours % 24 == 0 ? Text($"{hours / 24}d") : Text($"{hours / 24}d{hours % 24}h");
        if (hours < 24 * 365 * 2)
            return Text($"{hours / 24}d");
        long days = hours / 24;
        if (days < 365 * 8)
            return days % 365 == 0 ? Text($"{days / 365}y") : Text($"{days / 365}y{days % 365}d");
        return Text($"{days / 365}y");
    }

    private static string Text(FormattableString text) => text.ToString(CultureInfo.InvariantCulture);
}
