using System.Text.RegularExpressions;
using Rynxs.Ledger.Events;

namespace Rynxs.ArchitectureTests;

/// <summary>Every event type that the format has is written by something in the product.</summary>
public sealed partial class EventWriterTests
{
    [Fact]
    public void Every_event_type_is_documented_and_written()
    {
        string repository = Repository();
        string[] types =
        [
            .. typeof(LedgerPayload).Assembly.GetExportedTypes().Where(type => type.IsSubclassOf(typeof(LedgerPayload)) && !type.IsAbstract && type != typeof(ForwardedPayload)).Select(type => type.Name),
        ];
        types.Length.ShouldBeGreaterThan(25);
        HashSet<string> written =
        [
            .. Directory.EnumerateFiles(Path.Combine(repository, "src"), "*.cs", SearchOption.AllDirectories)
                .Where(file => !file.Contains("/Rynxs.Ledger/Events/", StringComparison.Ordinal))
                .SelectMany(file => Construction().Matches(File.ReadAllText(file)).Select(match => match.Groups[1].Value)),
        ];
        string format = File.ReadAllText(Path.Combine(repository, "docs", "formats", "ledger.md"));

        types.Where(type => !format.Contains($"| `{type}` |", StringComparison.Ordinal)).ShouldBeEmpty("missing in docs/formats/ledger.md");
        types.Where(type => !written.Contains(type)).ShouldBeEmpty("nothing writes these");
    }

    private static string Repository()
    {
        string? directory = AppContext.BaseDirectory;
        while (directory is not null && !File.Exists(Path.Combine(directory, "Rynxs.slnx")))
        {
            directory = Path.GetDirectoryName(directory);
        }

        return directory ?? throw new InvalidOperationException("The test does not run inside a clone.");
    }

    [GeneratedRegex("new ([A-Z][A-Za-z]+)\\s*(?:\\{|$|\\()", RegexOptions.Multiline)]
    private static partial Regex Construction();
}
