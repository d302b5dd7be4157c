namespace Rynxs.Sandbox.Images;

/// <summary>A root filesystem in the image store.</summary>
/// <param name="Name">Name it was asked for by, such as <c>rynxs/base:bookworm</c>.</param>
/// <param name="Digest"><c>sha256:</c> and the hexadecimal SHA-256 of the EROFS file.</param>
/// <param name="Path">Host path of the EROFS file.</param>
public sealed record ImageDescriptor(string Name, string Digest, string Path);
