namespace Rynxs.Sandbox.Images;

/// <summary>Where images lie and how they are built.</summary>
public sealed record ImageStoreOptions
{
    /// <summary>Directory of the store, shared by all states of this machine. Created when missing.</summary>
    public required string Directory { get; init; }

    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;
}

/// <summary>The answer to a request for an image.</summary>
/// <param name="Image">The root filesystem that will be used.</param>
/// <param name="Substituted">True when it is not the one that was asked for.</param>
/// <param name="Reason">Why it was substituted; empty otherwise.</param>
public sealed record ImageResolution(ImageDescriptor Image, bool Substituted, string Reason);

/// <summary>An image cannot be built, read or trusted. The message names the cause and may be shown to the caller.</summary>
/// <remarks><see cref="Code"/> is one of <c>tool_missing</c>, <c>build_failed</c>, <c>not_built</c>, <c>modified</c>, <c>store_corrupt</c> or <c>busy</c>.</remarks>
public sealed class ImageException(string code, string message, Exception? innerException = null) : Exception(message, innerException)
{
    public string Code { get; } = code;
}
