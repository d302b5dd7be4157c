namespace Rynxs.Sandbox.Seccomp;

/// <summary>The list as the rows of a Markdown table, for the documentation.</summary>
internal static class DenyListTable
{
    public static IEnumerable<string> Rows() => DenyList.All.GroupBy(call => (call.Why, call.Error, IsConditional: call.When.Count > 0)).Select(group =>
        $"| {string.Join(", ", group.Select(call => $"`{call.Name}`"))} | {When(group.First())} | {ErrorName(group.Key.Error)} | {(group.All(SeccompFilter.IsAsked) ? "yes" : group.Any(SeccompFilter.IsAsked) ? Asked(group) : "no")} | {group.Key.Why} |");

    private static string Asked(IEnumerable<DeniedCall> group) => string.Join(", ", group.Where(SeccompFilter.IsAsked).Select(call => $"`{call.Name}`"));

    private static string When(DeniedCall call) => call.When.Count switch
    {
        0 => "always",
        > 12 => "a family other than unix, inet, inet6, netlink; netlink but for routes; raw, SCTP and DCCP sockets",
        _ => string.Join("; ", call.When.Select(when => when.Meaning).Distinct()),
    };

    private static string ErrorName(int error) => error switch
    {
        Native.Libc.EPERM => "EPERM",
        38 => "ENOSYS",
        97 => "EAFNOSUPPORT",
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}
