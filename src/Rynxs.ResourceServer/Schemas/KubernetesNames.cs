using System.Text.RegularExpressions;

namespace Rynxs.ResourceServer.Schemas;

/// <summary>The forms of names in Kubernetes and the real server's words about them. Each check answers null when the name is good.</summary>
internal static partial class KubernetesNames
{
    private const string LabelForm = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
    private const string SubdomainForm = LabelForm + "(\\." + LabelForm + ")*";
    private const string NameForm = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";

    public static bool IsLabel(string text) => text.Length <= 63 && Label().IsMatch(text);

    public static bool IsSubdomain(string text) => text.Length <= 253 && Subdomain().IsMatch(text);

    /// <summary>RFC 1123 subdomain: names of most kinds.</summary>
    public static IEnumerable<string> SubdomainProblems(string text)
    {
        if (text.Length > 253)
            yield return "must be no more than 253 characters";
        if (!Subdomain().IsMatch(text))
        {
            yield return "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character "
                + $"(e.g. 'example.com', regex used for validation is '{SubdomainForm}')";
        }
    }

    /// <summary>RFC 1123 label: namespaces.</summary>
    public static IEnumerable<string> LabelProblems(string text)
    {
        if (text.Length > 63)
            yield return "must be no more than 63 characters";
        if (!Label().IsMatch(text))
        {
            yield return "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character "
                + $"(e.g. 'my-name',  or '123-abc', regex used for validation is '{LabelForm}')";
        }
    }

    /// <summary>RFC 1035 label: services, CRD names.</summary>
    public static IEnumerable<string> Dns1035Problems(string text)
    {
        if (text.Length > 63)
            yield return "must be no more than 63 characters";
        if (!Dns1035().IsMatch(text))
        {
            yield return "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character "
                + "(e.g. 'my-name',  or 'abc-123', regex used for validation is '[a-z]([-a-z0-9]*[a-z0-9])?')";
        }
    }

    /// <summary>Names of RBAC objects: a segment of a path.</summary>
    public static IEnumerable<string> PathSegmentProblems(string text)
    {
        if (text is "." or "..")
            yield return $"may not be '{text}'";
        if (text.Contains('/'))
            yield return "may not contain '/'";
        if (text.Contains('%'))
            yield return "may not contain '%'";
    }

    /// <summary>Keys of labels and annotations, names of finalizers: <c>[prefix/]name</c>.</summary>
    public static IEnumerable<string> QualifiedNameProblems(string text)
    {
        const string Message = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
            + "(e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '" + NameForm + "')";
        string[] parts = text.Split('/');
        if (parts.Length > 2)
        {
            yield return "a qualified name " + Message + " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            yield break;
        }

        if (parts.Length == 2)
        {
            if (parts[0].Length == 0)
                yield return "prefix part must be non-empty";
            else
            {
                foreach (string problem in SubdomainProblems(parts[0]))
                    yield return "prefix part " + problem;
            }
        }

        string name = parts[^1];
        if (name.Length == 0)
            yield return "name part must be non-empty";
        else if (name.Length > 63)
            yield return "name part must be no more than 63 characters";
        if (!Name().IsMatch(name))
            yield return "name part " + Message;
    }

    public static IEnumerable<string> LabelValueProblems(string text)
    {
        if (text.Length > 63)
            yield return "must be no more than 63 characters";
        if (text.Length > 0 && !Name().IsMatch(text))
        {
            yield return "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character "
                + $"(e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '({NameForm})?')";
        }
    }

    /// <summary>Keys of ConfigMaps and Secrets.</summary>
    public static IEnumerable<string> ConfigKeyProblems(string text)
    {
        if (text.Length > 253)
            yield return "must be no more than 253 characters";
        if (!ConfigKey().IsMatch(text))
        {
            yield return "a valid config key must consist of alphanumeric characters, '-', '_' or '.' "
                + "(e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')";
        }

        if (text is ".")
            yield return "must not be '.'";
        else if (text is "..")
            yield return "must not be '..'";
        else if (text.StartsWith("..", StringComparison.Ordinal))
            yield return "must not start with '..'";
    }

    [GeneratedRegex(@"\A" + LabelForm + @"\z")]
    private static partial Regex Label();

    [GeneratedRegex(@"\A" + SubdomainForm + @"\z", RegexOptions.NonBacktracking)]
    private static partial Regex Subdomain();

    [GeneratedRegex(@"\A[a-z]([-a-z0-9]*[a-z0-9])?\z")]
    private static partial Regex Dns1035();

    [GeneratedRegex(@"\A([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]\z")]
    private static partial Regex Name();

    [GeneratedRegex(@"\A[-._a-zA-Z0-9]+\z")]
    private static partial Regex ConfigKey();
}
