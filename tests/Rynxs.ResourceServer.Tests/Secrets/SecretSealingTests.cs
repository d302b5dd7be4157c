using System.Text;
using System.Text.Json.Nodes;
using Microsoft.Data.Sqlite;
using Rynxs.ResourceServer.Storage;
using Rynxs.ResourceServer.Tests.Kit;
using static Rynxs.ResourceServer.Tests.Kit.ApiServer;

namespace Rynxs.ResourceServer.Tests.Secrets;

/// <summary>Secrets at rest (G7): no byte of one is in a file of the store, and without the key nothing opens.</summary>
public sealed class SecretSealingTests
{
    private const string Path = "/api/v1/namespaces/default/secrets";
    private const string Plain = "correct-horse-battery-staple";

    [Fact]
    public async Task G7_no_file_of_the_store_holds_a_secret_in_the_clear_and_the_control_config_map_shows_that_the_search_finds_one()
    {
        string encoded = Convert.ToBase64String(Encoding.UTF8.GetBytes(Plain));
        using TemporaryDirectory directory = new();
        await using (ApiServer server = await StartAsync(options => options with { Path = directory.At("objects.db") }))
        {
            await server.JsonAsync("POST", Path, $$$"""{"apiVersion":"v1","kind":"Secret","metadata":{"name":"s"},"data":{"k":"{{{encoded}}}"}}""", 201);
            await server.JsonAsync("PATCH", $"{Path}/s", """{"metadata":{"labels":{"a":"b"}}}""", contentType: "application/merge-patch+json");
            await server.JsonAsync("POST", "/api/v1/namespaces/default/configmaps", """{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"c"},"data":{"k":"control-text-in-the-clear"}}""", 201);
            (await server.JsonAsync("GET", $"{Path}/s"))["data"]!["k"]!.GetValue<string>().ShouldBe(encoded); // a secret has data
            JsonObject list = await server.JsonAsync("GET", Path);
            list["items"]!.AsArray().Count.ShouldBe(1); // a list has items
            Contains(directory, encoded).ShouldBeFalse("while the store is open, with its write-ahead log");
            Contains(directory, "control-text-in-the-clear").ShouldBeTrue();
            await server.JsonAsync("DELETE", $"{Path}/s");
            Contains(directory, encoded).ShouldBeFalse("the history keeps the deleted object sealed too");
        }

        Contains(directory, encoded).ShouldBeFalse();
        Contains(directory, Plain).ShouldBeFalse();
        File.GetUnixFileMode(directory.At("objects.db.key")).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Fact]
    public async Task Without_its_key_with_another_and_with_one_that_others_can_read_the_store_does_not_open()
    {
        using TemporaryDirectory directory = new();
        ResourceStoreOptions options = new() { Path = directory.At("objects.db") };
        await (await ResourceStore.OpenAsync(options, Ct)).DisposeAsync();
        string key = directory.At("objects.db.key");
        byte[] right = await File.ReadAllBytesAsync(key, Ct);

        File.Delete(key);
        (await OpenErrorAsync(options)).Message.ShouldContain("is missing");
        File.Exists(key).ShouldBeFalse("a new key would open nothing and hide the loss");

        using (TemporaryDirectory other = new())
        {
            await (await ResourceStore.OpenAsync(new ResourceStoreOptions { Path = other.At("objects.db") }, Ct)).DisposeAsync();
            File.Copy(other.At("objects.db.key"), key);
        }

        (await OpenErrorAsync(options)).Message.ShouldContain("are sealed with key");
        await File.WriteAllTextAsync(key, "not a key", Ct);
        (await OpenErrorAsync(options)).Message.ShouldContain("is no key file");
        await File.WriteAllBytesAsync(key, right, Ct);
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead);
        (await OpenErrorAsync(options)).Message.ShouldContain("chmod 600");
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await (await ResourceStore.OpenAsync(options, Ct)).DisposeAsync();
    }

    [Fact]
    public async Task G7_sealed_bytes_that_are_moved_to_another_secret_are_not_opened()
    {
        using TemporaryDirectory directory = new();
        await using ApiServer server = await StartAsync(options => options with { Path = directory.At("objects.db") });
        foreach (string name in (string[])["mine", "theirs"])
            await server.JsonAsync("POST", Path, $$$"""{"apiVersion":"v1","kind":"Secret","metadata":{"name":"{{{name}}}"},"data":{"k":"{{{Convert.ToBase64String(Encoding.UTF8.GetBytes(name))}}}"}}""", 201);
        using (SqliteConnection attacker = new($"Data Source={directory.At("objects.db")};Pooling=False"))
        {
            attacker.Open();
            using SqliteCommand move = attacker.CreateCommand();
            move.CommandText = "UPDATE documents SET body = (SELECT body FROM documents WHERE name = 'theirs') WHERE name = 'mine'";
            move.ExecuteNonQuery().ShouldBe(1);
        }

        JsonObject status = await server.JsonAsync("GET", $"{Path}/mine", expected: 507);
        ((string?)status["message"]).ShouldNotBeNull().ShouldContain("damaged");
        await server.JsonAsync("GET", $"{Path}/theirs");
    }

    private static async Task<ResourceStoreOpenException> OpenErrorAsync(ResourceStoreOptions options)
    {
        ResourceStoreOpenException e = await Should.ThrowAsync<ResourceStoreOpenException>(() => ResourceStore.OpenAsync(options, Ct));
        e.Error.ShouldBe(ResourceStoreOpenError.Key, e.Message);
        return e;
    }

    private static bool Contains(string directory, string text)
    {
        byte[] sought = Encoding.UTF8.GetBytes(text);
        return Directory.EnumerateFiles(directory).Where(file => !file.EndsWith(".lock", StringComparison.Ordinal)).Any(file =>
        {
            using FileStream stream = new(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            byte[] bytes = new byte[stream.Length];
            stream.ReadExactly(bytes);
            return bytes.AsSpan().IndexOf(sought) >= 0;
        });
    }
}
