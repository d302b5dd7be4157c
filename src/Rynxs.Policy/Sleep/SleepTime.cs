namespace Rynxs.Policy.Sleep;

/// <summary>
/// A daily window of local time in which nothing may be called. It starts on the given days; when the end is not after the start it ends
/// on the next day. Equal start and end mean a whole day.
/// </summary>
/// <remarks>
/// Local time decides, as a person reads the rule off a wall clock: where daylight saving skips an hour, the part of the window that
/// does not exist does not exist; where an hour comes twice, the window holds in both. A moment always maps to exactly one local time,
/// so nothing here can be ambiguous.
/// </remarks>
public sealed record SleepTime
{
    /// <summary>Inclusive.</summary>
    public required TimeOnly Start { get; init; }

    /// <summary>Exclusive.</summary>
    public required TimeOnly End { get; init; }

    /// <summary>Days on which it starts; empty means every day.</summary>
    public IReadOnlySet<DayOfWeek> Days { get; init; } = new HashSet<DayOfWeek>();

    public required TimeZoneInfo Zone { get; init; }

    /// <summary>Whether the window is open at this moment.</summary>
    public bool Contains(DateTimeOffset now)
    {
        DateTimeOffset local = TimeZoneInfo.ConvertTime(now, Zone);
        TimeOnly time = TimeOnly.FromTimeSpan(local.TimeOfDay);
        if (Start < End)
        {
            return StartsOn(local.DayOfWeek) && time >= Start && time < End;
        }

        DayOfWeek yesterday = (DayOfWeek)(((int)local.DayOfWeek + 6) % 7);
        return (time >= Start && StartsOn(local.DayOfWeek)) || (time < End && StartsOn(yesterday));
    }

    private bool StartsOn(DayOfWeek day) => Days.Count == 0 || Days.Contains(day);
}
