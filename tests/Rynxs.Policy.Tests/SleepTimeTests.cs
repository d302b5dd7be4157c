using Rynxs.Policy.Sleep;

namespace Rynxs.Policy.Tests;

public sealed class SleepTimeTests
{
    private static readonly TimeZoneInfo Berlin = TimeZoneInfo.FindSystemTimeZoneById("Europe/Berlin");

    [Theory]
    [InlineData("2026-03-02T21:59:59Z", false)]
    [InlineData("2026-03-02T22:00:00Z", true)]
    [InlineData("2026-03-03T05:59:59Z", true)]
    [InlineData("2026-03-03T06:00:00Z", false)]
    public void A_window_crosses_midnight(string now, bool asleep)
    {
        Window("22:00", "06:00", TimeZoneInfo.Utc).Contains(At(now)).ShouldBe(asleep);
    }

    [Theory]
    [InlineData("2026-03-06T23:00:00Z", true)] // Friday evening: starts.
    [InlineData("2026-03-07T05:00:00Z", true)] // Saturday morning: Friday's window.
    [InlineData("2026-03-07T23:00:00Z", false)] // Saturday evening: does not start.
    [InlineData("2026-03-06T05:00:00Z", false)] // Friday morning: Thursday's would be it.
    public void Days_are_those_on_which_it_starts(string now, bool asleep)
    {
        Window("22:00", "06:00", TimeZoneInfo.Utc, DayOfWeek.Friday).Contains(At(now)).ShouldBe(asleep);
    }

    [Theory]
    [InlineData("2026-03-29T00:59:59Z", false)] // 01:59:59 local; then the clock jumps to 03:00.
    [InlineData("2026-03-29T01:00:00Z", false)] // 03:00: the window 02:00 to 03:00 does not exist today.
    [InlineData("2026-03-28T01:30:00Z", true)] // The day before it does.
    public void An_hour_that_daylight_saving_skips_does_not_exist(string now, bool asleep)
    {
        Window("02:00", "03:00", Berlin).Contains(At(now)).ShouldBe(asleep);
    }

    [Theory]
    [InlineData("2026-10-25T00:30:00Z", true)] // 02:30 summer time.
    [InlineData("2026-10-25T01:30:00Z", true)] // 02:30 again.
    [InlineData("2026-10-25T02:00:00Z", false)]
    public void An_hour_that_comes_twice_is_slept_twice(string now, bool asleep)
    {
        Window("02:00", "03:00", Berlin).Contains(At(now)).ShouldBe(asleep);
    }

    [Fact]
    public void Equal_ends_mean_a_whole_day()
    {
        SleepTime window = Window("09:00", "09:00", TimeZoneInfo.Utc, DayOfWeek.Monday);

        window.Contains(At("2026-03-02T09:00:00Z")).ShouldBeTrue();
        window.Contains(At("2026-03-03T08:59:00Z")).ShouldBeTrue();
        window.Contains(At("2026-03-03T09:00:00Z")).ShouldBeFalse();
        window.Contains(At("2026-03-02T08:59:00Z")).ShouldBeFalse();
    }

    private static SleepTime Window(string start, string end, TimeZoneInfo zone, params DayOfWeek[] days) => new()
    {
        Start = TimeOnly.Parse(start, System.Globalization.CultureInfo.InvariantCulture),
        End = TimeOnly.Parse(end, System.Globalization.CultureInfo.InvariantCulture),
        Zone = zone,
        Days = days.ToHashSet(),
    };

    private static DateTimeOffset At(string text) => DateTimeOffset.Parse(text, System.Globalization.CultureInfo.InvariantCulture);
}
