using System.Text;
using Rynxs.Resources.Manifests;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Tests;

/// <summary>Manifests around the lines that a test is about.</summary>
internal static class Manifests
{
    public static string Agent(string spec, string name = "a") =>
        $"apiVersion: universe.ai/v1alpha1\nkind: Agent\nmetadata: {{name: {name}, namespace: ns}}\nspec:\n  {(spec.Length == 0 ? "suspended: false" : spec)}\n";

    public static string Task(string spec, string name = "t") =>
        $"apiVersion: universe.ai/v1alpha1\nkind: Task\nmetadata: {{name: {name}, namespace: ns}}\nspec:\n  {spec}\n";

    public static string Universe(string policies) =>
        $"apiVersion: universe.ai/v1alpha1\nkind: Universe\nmetadata: {{name: u}}\nspec:\n  policies:\n    {policies}\n";

    public static string Approval(string spec) =>
        $"apiVersion: universe.ai/v1alpha1\nkind: Approval\nmetadata: {{name: p, namespace: ns}}\nspec:\n  {spec}\n";

    public static T Parse<T>(string text)
        where T : Resource
    {
        ManifestResult result = ManifestReader.Read(Encoding.UTF8.GetBytes(text));
        result.Errors.ShouldBeEmpty();
        return (T)result.Resources[0];
    }
}
