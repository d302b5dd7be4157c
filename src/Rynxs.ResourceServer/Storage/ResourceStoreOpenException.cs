namespace Rynxs.ResourceServer.Storage;

/// <summary>The store cannot be opened. The message names the file, what is wrong and what to do; it holds no secrets.</summary>
public sealed class ResourceStoreOpenException(ResourceStoreOpenError error, string message, Exception? innerException = null)
    : Exception(message, innerException)
{
    /// <summary>What is wrong.</summary>
    public ResourceStoreOpenError Error { get; } = error;
}

/// <summary>Why a store cannot be opened.</summary>
public enum ResourceStoreOpenError
{
    /// <summary>Another process has it open.</summary>
    Locked,

    /// <summary>The file is not one of our databases, or is damaged.</summary>
    Corrupt,

    /// <summary>A newer version of Rynxs wrote it.</summary>
    NewerSchema,

    /// <summary>It can be read but not written.</summary>
    ReadOnly,

    /// <summary>The key file that seals Secrets is missing, wrong, or readable by others.</summary>
    Key,

    /// <summary>The path does not exist, is no file, or the disk fails or is full.</summary>
    Unavailable,
}
