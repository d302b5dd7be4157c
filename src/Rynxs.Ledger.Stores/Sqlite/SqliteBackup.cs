using Microsoft.Data.Sqlite;
using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Stores.Sqlite;

/// <summary>Online copies and checks of a database that a writer may have open.</summary>
internal static class SqliteBackup
{
    private const int MaxProblems = 100;

    public static void Copy(string path, string target)
    {
        if (File.Exists(target))
        {
            throw new IOException($"{target} exists; a backup replaces nothing.");
        }

        ThrowIfAbsent(path);
        string draft = target + ".draft";
        File.Delete(draft);
        try
        {
            using (LedgerFile.CreateEmpty(draft))
            {
                // With its mode of 0600, before anything is in it.
            }

            using (SqliteConnection from = SqliteDatabase.OpenReader(path))
            using (var to = new SqliteConnection(new SqliteConnectionStringBuilder { DataSource = draft, Pooling = false }.ToString()))
            {
                to.Open();
                from.BackupDatabase(to);
            }

            IReadOnlyList<string> problems = Check(draft);
            if (problems.Count > 0)
            {
                throw new LedgerCorruptException($"The copy of {path} is damaged: {problems[0]}", path, -1, "ok", problems[0]);
            }

            using (SafeFileHandle file = LedgerFile.OpenOrCreate(draft))
            {
                LinuxFile.SyncData(file);
            }

            File.Move(draft, target, overwrite: false);
            LinuxFile.SyncDirectory(Path.GetDirectoryName(target) ?? "/");
        }
        catch (SqliteException exception) when (SqliteFailure.IsCorrupt(exception))
        {
            throw SqliteFailure.Damaged(path, exception);
        }
        catch (SqliteException exception)
        {
            throw SqliteFailure.Unavailable(path, exception);
        }
        finally
        {
            foreach (string left in new[] { draft, draft + "-wal", draft + "-shm" })
            {
                File.Delete(left);
            }
        }
    }

    public static IReadOnlyList<string> Check(string path)
    {
        ThrowIfAbsent(path);
        try
        {
            using SqliteConnection reader = SqliteDatabase.OpenReader(path);
            using SqliteCommand command = reader.CreateCommand();
            command.CommandText = "PRAGMA integrity_check(100)";
            using SqliteDataReader rows = command.ExecuteReader();
            var problems = new List<string>();
            while (problems.Count < MaxProblems && rows.Read())
            {
                problems.Add(rows.GetString(0));
            }

            return problems is ["ok"] ? [] : problems;
        }
        catch (SqliteException exception) when (SqliteFailure.IsCorrupt(exception))
        {
            return [exception.Message];
        }
        catch (SqliteException exception)
        {
            throw SqliteFailure.Unavailable(path, exception);
        }
    }

    private static void ThrowIfAbsent(string path)
    {
        if (!File.Exists(path))
        {
            throw new FileNotFoundException($"There is no file {path}.", path);
        }
    }
}
