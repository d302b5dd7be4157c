using System.CommandLine;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Stores.Copying;

namespace Rynxs.Cli.Stores;

/// <summary>
/// <c>rynxs ledger s3-policy</c>. The policy denies: an Allow is only one of many, and any other policy of the account that allows PutObject would go
/// past it. Facts: https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes-enforce.html.
/// </summary>
internal static class S3PolicyCommand
{
    public static Command Create(Screen screen)
    {
        var location = new Argument<string>("location") { Description = "s3://BUCKET/PREFIX." };
        var writer = new Option<string>("--writer") { Description = "ARN of the role ledger's identity: nobody else may write.", HelpName = "ARN", Required = true };
        var eraser = new Option<string?>("--eraser") { Description = "ARN of who may remove side blobs, to erase personal data; nobody unless told.", HelpName = "ARN" };
        var command = new Command("s3-policy", "Prints a bucket policy that denies everything by which records could be replaced or removed.") { location, writer, eraser };
        command.SetAction(parsed =>
        {
            if (StoreArguments.Parse(parsed.GetRequiredValue(location)) is not LedgerLocation.S3 s3)
            {
                throw new CliException("give s3://BUCKET/PREFIX.", ExitCodes.Usage);
            }

            foreach (string? arn in new[] { parsed.GetRequiredValue(writer), parsed.GetValue(eraser) })
            {
                if (arn is not null && !arn.StartsWith("arn:", StringComparison.Ordinal))
                {
                    throw new CliException($"'{arn}' is not an ARN.", ExitCodes.Usage);
                }
            }

            JsonObject policy = Policy(s3.Options.Bucket, s3.Options.Prefix, parsed.GetRequiredValue(writer), parsed.GetValue(eraser));
            screen.Line(policy.ToJsonString(new JsonSerializerOptions { WriteIndented = true }));
            return ExitCodes.Ok;
        });
        return command;
    }

    private static JsonObject Policy(string bucket, string prefix, string writer, string? eraser)
    {
        string root = $"arn:aws:s3:::{bucket}/{(prefix.Length == 0 ? "" : prefix + "/")}";
        // A star matches slashes too: control/records/… and agents/NAMESPACE/NAME/records/….
        JsonArray Of(params string[] names) => [.. names.Select(name => (JsonNode)(root + name))];
        string[] written = ["*/records/*", "control/records/*", "*/blobs/*", "control/blobs/*"];
        return new JsonObject
        {
            ["Version"] = "2012-10-17",
            ["Statement"] = new JsonArray
            {
                Deny("OnlyTheWriterWrites", ["s3:PutObject"], Of("*"), new JsonObject { ["StringNotEquals"] = new JsonObject { ["aws:PrincipalArn"] = writer } }),
                // Also denies parts of multipart uploads and CopyObject, neither of which a ledger uses. head.json is replaced, by If-Match.
                Deny("NothingIsOverwritten", ["s3:PutObject"], Of(written), new JsonObject { ["Null"] = new JsonObject { ["s3:if-none-match"] = "true" } }),
                Deny("RecordsStay", ["s3:DeleteObject", "s3:DeleteObjectVersion"], Of("*/records/*", "control/records/*"), null),
                Deny(
                    "BlobsAreErasedByTheEraserAlone", ["s3:DeleteObject", "s3:DeleteObjectVersion"], Of("*/blobs/*", "control/blobs/*"),
                    eraser is null ? null : new JsonObject { ["StringNotEquals"] = new JsonObject { ["aws:PrincipalArn"] = eraser } }),
                Deny("NoLifecycleRuleRemovesThem", ["s3:PutLifecycleConfiguration", "s3:DeleteBucket"], [$"arn:aws:s3:::{bucket}"], null),
                Deny("OnlyOverTls", ["s3:*"], [$"arn:aws:s3:::{bucket}", $"arn:aws:s3:::{bucket}/*"], new JsonObject { ["Bool"] = new JsonObject { ["aws:SecureTransport"] = "false" } }),
            },
        };
    }

    private static JsonObject Deny(string id, string[] actions, JsonArray resources, JsonObject? condition)
    {
        var statement = new JsonObject
        {
            ["Sid"] = id,
            ["Effect"] = "Deny",
            ["Principal"] = "*",
            ["Action"] = new JsonArray([.. actions.Select(action => (JsonNode)action)]),
            ["Resource"] = resources,
        };
        if (condition is not null)
        {
            statement["Condition"] = condition;
        }

        return statement;
    }
}
