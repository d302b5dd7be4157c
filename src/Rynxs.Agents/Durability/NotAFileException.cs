namespace Rynxs.Agents.Durability;

/// <summary>
/// Something else than a regular file stands where one is expected (a symbolic link, a directory, a pipe): nothing is read or written
/// until it is gone. The message names the path and is for logs.
/// </summary>
public sealed class NotAFileException(string path, string what) : IOException($"{path} is {what}, not a regular file.");
