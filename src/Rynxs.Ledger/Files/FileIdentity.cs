namespace Rynxs.Ledger.Files;

/// <summary>
/// What the kernel says of a file. Two equal ones mean that nobody wrote to the file in between: every write moves the times, and ctime
/// cannot be set back without setting the machine's clock.
/// </summary>
/// <param name="Inode">Number of the file in its file system.</param>
/// <param name="Bytes">Length.</param>
/// <param name="ModifiedNs">mtime, nanoseconds since 1970.</param>
/// <param name="ChangedNs">ctime, nanoseconds since 1970.</param>
internal readonly record struct FileIdentity(long Inode, long Bytes, long ModifiedNs, long ChangedNs);
