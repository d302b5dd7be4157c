using Microsoft.Data.Sqlite;

namespace Rynxs.Ledger.Stores.Sqlite;

/// <summary>What SQLite's errors mean for a ledger: https://www.sqlite.org/rescode.html.</summary>
internal static class SqliteFailure
{
    private const int Busy = 5;
    private const int ReadOnly = 8;
    private const int Io = 10;
    private const int Corrupt = 11;
    private const int Full = 13;
    private const int NotADatabase = 26;

    /// <summary>The database may be in any state for this process: nothing more is committed until it is opened again.</summary>
    public static bool IsLasting(SqliteException exception) => exception.SqliteErrorCode is not (Busy or ReadOnly or Full);

    public static bool IsCorrupt(SqliteException exception) => exception.SqliteErrorCode is Corrupt or NotADatabase;

    public static LedgerUnavailableException Unavailable(string path, SqliteException exception)
    {
        string reason = exception.SqliteErrorCode switch
        {
            Busy => "another process is writing to it",
            ReadOnly => "it is read-only",
            Io => "input/output error",
            Full => "the disk is full",
            Corrupt or NotADatabase => "the file is damaged, or is no database",
            _ => "SQLite refused",
        };
        return new LedgerUnavailableException($"{path}: {reason} (SQLite {exception.SqliteExtendedErrorCode}: {exception.Message})", exception)
        {
            IsLasting = IsLasting(exception),
        };
    }

    public static LedgerCorruptException Damaged(string path, SqliteException exception) =>
        new($"{path}: the file is damaged, or is no database (SQLite {exception.SqliteExtendedErrorCode}: {exception.Message})", path, -1, null, null);
}
