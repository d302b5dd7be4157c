using System.Text.Json;
using System.Text.RegularExpressions;
using Rynxs.Resources.Client;
using Rynxs.Resources.Validation;

namespace Rynxs.Resources.Universes;

/// <summary>Rules of a Universe.</summary>
internal static partial class UniverseRules
{
    private const int SecondsOfDay = 24 * 60 * 60;
    private static readonly string[] Days = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

    public static void Check(UniverseResource universe, Rules rules)
    {
        UniversePolicies policies = universe.Spec.Policies;
        if (policies.IdentityBleedRate is { } rate && rate is not (>= 0 and <= 1))
            rules.Invalid("spec.policies.identityBleedRate", rate.ToString("R", System.Globalization.CultureInfo.InvariantCulture), "must be 0 to 1");
        MustBeObject("spec.storage", universe.Spec.Storage, rules);
        MustBeObject("spec.travel", universe.Spec.Travel, rules);
        MustBeObject("spec.policies.macroLuck", policies.MacroLuck, rules);
        MustBeObject("spec.policies.physics", policies.Physics, rules);
        rules.ToolPatterns("spec.policies.denyTools", policies.DenyTools);

        SleepPolicy sleep = policies.Sleep;
        Seconds("spec.policies.sleep.instantBackupEverySeconds", sleep.InstantBackupEverySeconds, rules);
        Seconds("spec.policies.sleep.deepSleepEverySeconds", sleep.DeepSleepEverySeconds, rules);
        Seconds("spec.policies.sleep.deepSleepMinSeconds", sleep.DeepSleepMinSeconds, rules);
        rules.Count("spec.policies.sleep.windows", sleep.Windows.Count, 64);
        for (int i = 0; i < sleep.Windows.Count; i++)
            CheckWindow($"spec.policies.sleep.windows[{i}]", sleep.Windows[i], rules);
        if (universe.Status is { } status)
            rules.Conditions("status.conditions", status.Conditions);
    }

    private static void CheckWindow(string field, SleepWindow window, Rules rules)
    {
        Time($"{field}.start", window.Start);
        Time($"{field}.end", window.End);
        rules.Unique($"{field}.days", window.Days);
        for (int i = 0; i < window.Days.Count; i++)
            rules.OneOf($"{field}.days[{i}]", window.Days[i], Days);

        // The form first: the runtime looks a zone up as a file of that name.
        if (!ZoneForm().IsMatch(window.TimeZone) || !TimeZoneInfo.TryFindSystemTimeZoneById(window.TimeZone, out _))
            rules.Invalid($"{field}.timeZone", window.TimeZone, "no IANA time zone of that name on this machine, such as Europe/Berlin or UTC");

        void Time(string child, string value)
        {
            if (!TimeForm().IsMatch(value))
                rules.Invalid(child, value, "a time of day is HH:MM from 00:00 to 23:59");
        }
    }

    private static void Seconds(string field, int? value, Rules rules)
    {
        if (value is { } seconds)
            rules.Range(field, seconds, 1, 7 * SecondsOfDay);
    }

    private static void MustBeObject(string field, JsonElement? value, Rules rules)
    {
        if (value is { ValueKind: not JsonValueKind.Object })
            rules.Add(field, FieldErrorCodes.TypeInvalid, "Invalid value: an object is due");
    }

    [GeneratedRegex(@"\A([01][0-9]|2[0-3]):[0-5][0-9]\z")]
    private static partial Regex TimeForm();

    [GeneratedRegex(@"\A[A-Za-z][A-Za-z0-9_+-]{0,31}(/[A-Za-z0-9][A-Za-z0-9_+-]{0,31}){0,2}\z")]
    private static partial Regex ZoneForm();
}
