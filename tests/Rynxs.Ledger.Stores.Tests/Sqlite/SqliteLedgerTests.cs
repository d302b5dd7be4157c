using Microsoft.Data.Sqlite;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Stores.Sqlite;
using Rynxs.Ledger.Tests;

namespace Rynxs.Ledger.Stores.Tests.Sqlite;

public sealed class SqliteLedgerTests : IDisposable
{
    private static readonly ChainOptions NoMirror = new();
    private readonly TemporaryDirectory _directory = new();

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    private string Database => _directory.At("ledger.db");

    public void Dispose() => _directory.Dispose();

    [Fact]
    public async Task A_second_writer_is_refused_unless_it_takes_over()
    {
        await using SqliteLedger first = await OpenAsync();
        LedgerLockedException refused = await Should.ThrowAsync<LedgerLockedException>(OpenAsync);
        refused.OwnerPid.ShouldBe(Environment.ProcessId);
        File.GetUnixFileMode(Database).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Fact]
    public async Task A_backup_of_a_ledger_in_use_opens_and_verifies()
    {
        await using SqliteLedger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        using var stop = new CancellationTokenSource();
        Task writing = Task.Run(
            async () =>
            {
                for (int number = 0; !stop.IsCancellationRequested; number++)
                {
                    await chain.AppendAsync(Entries.Numbered(number, "blob"), Cancelled);
                }
            },
            Cancelled);
        await chain.WaitForAppendAsync(20, Cancelled);
        await SqliteLedger.BackupAsync(Database, _directory.At("copy.db"), Cancelled);
        await stop.CancelAsync();
        await writing;

        await Should.ThrowAsync<IOException>(async () => await SqliteLedger.BackupAsync(Database, _directory.At("copy.db"), Cancelled));
        (await SqliteLedger.CheckIntegrityAsync(_directory.At("copy.db"), Cancelled)).ShouldBeEmpty();
        await using SqliteLedger copy = await SqliteLedger.OpenAsync(new SqliteLedgerOptions { Path = _directory.At("copy.db") }, Cancelled);
        ILedgerChain copied = await copy.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        copied.Head.Seq.ShouldBeGreaterThan(20);
        await foreach (LedgerRecord record in copied.ReadAsync(0, Cancelled))
        {
            record.Seq.ShouldBeGreaterThanOrEqualTo(0);
        }
    }

    [Fact]
    public async Task F1_an_altered_or_missing_row_is_found_when_it_is_read()
    {
        await FillAsync(10);
        Execute("UPDATE records SET line = replace(line, 'call-5', 'call-6') WHERE seq = 6");
        await ExpectCorruptAsync(6);
        Execute("DELETE FROM records WHERE seq = 6");
        await ExpectCorruptAsync(6);
        Execute("DELETE FROM records WHERE seq > 6");
        await ExpectCorruptAsync(5);
    }

    [Fact]
    public async Task A_file_that_is_damaged_or_no_ledger_is_refused()
    {
        await File.WriteAllTextAsync(Database, new string('x', 5000), Cancelled);
        await Should.ThrowAsync<LedgerCorruptException>(OpenAsync);
        (await SqliteLedger.CheckIntegrityAsync(Database, Cancelled)).ShouldNotBeEmpty();

        File.Delete(Database);
        await using (var other = new SqliteConnection($"Data Source={Database};Pooling=false"))
        {
            other.Open();
            using SqliteCommand command = other.CreateCommand();
            command.CommandText = "CREATE TABLE t (a); PRAGMA application_id = 1";
            command.ExecuteNonQuery();
        }

        (await Should.ThrowAsync<LedgerCorruptException>(OpenAsync)).Message.ShouldContain("no ledger");
    }

    [Fact]
    public async Task On_a_full_disk_appends_are_refused_and_go_on_when_there_is_room_again()
    {
        await using var disk = await SmallDisk.MountAsync(_directory.At("disk"), "2m", Cancelled);
        string ballast = Path.Combine(disk.Path, "ballast");
        var acknowledged = new Dictionary<long, string>();
        await using (SqliteLedger ledger = await SqliteLedger.OpenAsync(new SqliteLedgerOptions { Path = Path.Combine(disk.Path, "ledger.db") }, Cancelled))
        {
            ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            await File.WriteAllBytesAsync(ballast, new byte[1200 * 1024], Cancelled);
            LedgerUnavailableException? refused = null;
            while (refused is null)
            {
                try
                {
                    AppendedRecord record = await chain.AppendAsync(Entries.WithText(new string('x', 5000)), Cancelled);
                    acknowledged.Add(record.Seq, record.EventHash);
                }
                catch (LedgerUnavailableException exception)
                {
                    refused = exception;
                }
            }

            refused.Message.ShouldContain("full");
            acknowledged.Count.ShouldBeGreaterThan(3);
            File.Delete(ballast);
            ILedgerChain again = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
            AppendedRecord next = await again.AppendAsync(Entries.Numbered(1), Cancelled);
            acknowledged.Add(next.Seq, next.EventHash);
        }

        await using SqliteLedger reopened = await SqliteLedger.OpenAsync(new SqliteLedgerOptions { Path = Path.Combine(disk.Path, "ledger.db") }, Cancelled);
        ILedgerChain chain2 = await reopened.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        await foreach (LedgerRecord record in chain2.ReadAsync(0, Cancelled))
        {
            if (acknowledged.Remove(record.Seq, out string? hash))
            {
                record.EventHash.ShouldBe(hash);
            }
        }

        acknowledged.ShouldBeEmpty();
    }

    [Fact]
    public async Task A_database_that_another_program_locks_refuses_and_is_used_again()
    {
        await using SqliteLedger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        await using (var other = new SqliteConnection($"Data Source={Database};Pooling=false"))
        {
            other.Open();
            using SqliteTransaction transaction = other.BeginTransaction(deferred: false);
            LedgerUnavailableException refused = await Should.ThrowAsync<LedgerUnavailableException>(async () => await chain.AppendAsync(Entries.Numbered(1), Cancelled));
            refused.IsLasting.ShouldBeFalse();
            refused.Message.ShouldContain("another process");
        }

        (await chain.AppendAsync(Entries.Numbered(2), Cancelled)).Seq.ShouldBe(1);
    }

    private async Task ExpectCorruptAsync(long seq)
    {
        LedgerCorruptException refused = await Should.ThrowAsync<LedgerCorruptException>(async () =>
        {
            await using SqliteLedger ledger = await OpenAsync();
            await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        });
        refused.Seq.ShouldBe(seq);
    }

    private async Task FillAsync(int records)
    {
        await using SqliteLedger ledger = await OpenAsync();
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, NoMirror, Cancelled);
        for (int number = 0; number < records; number++)
        {
            await chain.AppendAsync(Entries.Numbered(number), Cancelled);
        }
    }

    private void Execute(string sql)
    {
        using var connection = new SqliteConnection($"Data Source={Database};Pooling=false");
        connection.Open();
        using SqliteCommand command = connection.CreateCommand();
        command.CommandText = sql;
        command.ExecuteNonQuery();
    }

    private Task<SqliteLedger> OpenAsync() => SqliteLedger.OpenAsync(new SqliteLedgerOptions { Path = Database }, Cancelled);
}
