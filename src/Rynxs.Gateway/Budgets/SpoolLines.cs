using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Policy.Budgets;

namespace Rynxs.Gateway.Budgets;

/// <summary>An event of the books as a line of the spool; <c>k</c> says which.</summary>
internal sealed record BudgetLine
{
    /// <summary><c>r</c> reserved, <c>s</c> settled, <c>x</c> expired, <c>c</c> carried over.</summary>
    [JsonPropertyName("k")]
    public required string Kind { get; init; }

    [JsonPropertyName("id")]
    public long Id { get; init; }

    [JsonPropertyName("t")]
    public long Tokens { get; init; }

    [JsonPropertyName("n")]
    public long NanoUsd { get; init; }

    [JsonPropertyName("x")]
    public DateTimeOffset? Expires { get; init; }

    [JsonPropertyName("a")]
    public IReadOnlyList<AccountLine>? Accounts { get; init; }

    public static string Write(BudgetEvent budgetEvent) => JsonSerializer.Serialize(Of(budgetEvent), SpoolJson.Default.BudgetLine);

    /// <summary>The event of a line; null when the line is somebody else's.</summary>
    public static BudgetEvent? Read(string line)
    {
        if (!line.StartsWith("{\"k\":\"", StringComparison.Ordinal) || line.Length < 8 || line[6] is not ('r' or 's' or 'x' or 'c'))
        {
            return null;
        }

        BudgetLine read = JsonSerializer.Deserialize(line, SpoolJson.Default.BudgetLine) ?? throw new InvalidDataException("A line of the gateway's spool is empty.");
        BudgetAccount[] accounts = [.. (read.Accounts ?? []).Select(account => new BudgetAccount(account.Scope, account.Name, account.Period, account.Window))];
        Spend amount = new(read.Tokens, read.NanoUsd);
        return read.Kind switch
        {
            "r" => new BudgetEvent.Reserved(read.Id, accounts, amount, read.Expires ?? DateTimeOffset.MinValue),
            "s" => new BudgetEvent.Settled(read.Id, amount),
            "x" => new BudgetEvent.Expired(read.Id),
            _ => new BudgetEvent.Carried(accounts[0], amount),
        };
    }

    private static BudgetLine Of(BudgetEvent budgetEvent) => budgetEvent switch
    {
        BudgetEvent.Reserved reserved => new BudgetLine
        {
            Kind = "r",
            Id = reserved.Id,
            Tokens = reserved.Amount.Tokens,
            NanoUsd = reserved.Amount.NanoUsd,
            Expires = reserved.Expires,
            Accounts = [.. reserved.Accounts.Select(AccountLine.Of)],
        },
        BudgetEvent.Settled settled => new BudgetLine { Kind = "s", Id = settled.Id, Tokens = settled.Actual.Tokens, NanoUsd = settled.Actual.NanoUsd },
        BudgetEvent.Expired expired => new BudgetLine { Kind = "x", Id = expired.Id },
        BudgetEvent.Carried carried => new BudgetLine { Kind = "c", Tokens = carried.Spent.Tokens, NanoUsd = carried.Spent.NanoUsd, Accounts = [AccountLine.Of(carried.Account)] },
        _ => throw new System.Diagnostics.UnreachableException(),
    };
}

/// <summary>An account in a line.</summary>
internal sealed record AccountLine(
    [property: JsonPropertyName("s")] BudgetScope Scope, [property: JsonPropertyName("n")] string Name, [property: JsonPropertyName("p")] BudgetPeriod Period,
    [property: JsonPropertyName("w")] int Window)
{
    public static AccountLine Of(BudgetAccount account) => new(account.Scope, account.Name, account.Period, account.Window);
}

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingDefault)]
[JsonSerializable(typeof(BudgetLine))]
internal sealed partial class SpoolJson : JsonSerializerContext;
